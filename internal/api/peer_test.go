package api

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tealops/teal/internal/release"
)

func TestRole(t *testing.T) {
	roles := Roles{Operators: 5001, Viewers: 5002}
	for _, c := range []struct {
		name string
		peer Peer
		in   Roles
		want Role
	}{
		{"root", Peer{}, roles, Operator},
		{"root, without groups on the host", Peer{}, Roles{NoGroup, NoGroup}, Operator},
		{"by group", Peer{UID: 1, GID: 1, Groups: []uint32{7, 5001}}, roles, Operator},
		{"by primary group", Peer{UID: 1, GID: 5001}, roles, Operator},
		{"viewer", Peer{UID: 1, GID: 1, Groups: []uint32{5002}}, roles, Viewer},
		{"viewer by primary group", Peer{UID: 1, GID: 5002}, roles, Viewer},
		{"the stronger one", Peer{UID: 1, GID: 5002, Groups: []uint32{5002, 5001}}, roles, Operator},
		{"none", Peer{UID: 1, GID: 1, Groups: []uint32{1, 2, 5000, 5003}}, roles, Nobody},
		{"a uid is no gid", Peer{UID: 5001, GID: 1}, roles, Nobody},
		{"group 0 is not root", Peer{UID: 1, GID: 0, Groups: []uint32{0}}, roles, Nobody},
		{"no such groups", Peer{UID: 1, GID: NoGroup, Groups: []uint32{NoGroup, 0}}, Roles{NoGroup, NoGroup}, Nobody},
		{"only viewers", Peer{UID: 1, GID: 5002}, Roles{NoGroup, 5002}, Viewer},
	} {
		if got := c.in.Role(c.peer); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLookupGroup(t *testing.T) {
	for name, want := range map[string]uint32{"": NoGroup, "root": 0, "0": 0, "5001": 5001, "no-such-group-here": NoGroup, "-1": NoGroup, "4294967296": NoGroup} {
		if got := LookupGroup(name); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
}

// as runs this test binary as another user, who asks for everything.
func (s *served) as(t *testing.T, c syscall.Credential) tried {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.copyOfMe(t))
	cmd.Env = []string{"TEAL_TEST_PEER=" + s.socket, "TMPDIR=" + os.TempDir()}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &c}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run as uid %d: %v %s", c.Uid, err, &stderr)
	}
	var got tried
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

// copyOfMe is the test binary where every user may run it.
func (s *served) copyOfMe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(s.dir, "peer")
	if _, err := os.Stat(name); err == nil {
		return name
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(name, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// The kernel says who asks; the table says what they get.
func TestEveryVerbForEveryRole(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to be several users")
		}
		t.Skip("needs root to be several users")
	}
	const operators, viewers = 45001, 45002
	many := make([]uint32, 3000) // more than fit the first look
	for i := range many {
		many[i] = uint32(50000 + i)
	}
	s := serve(t, Roles{Operators: operators, Viewers: viewers})
	for _, c := range []struct {
		name string
		peer syscall.Credential
		want Role
	}{
		{"root", syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}, Operator},
		{"operator", syscall.Credential{Uid: 44001, Gid: 44001, Groups: []uint32{44001, operators}}, Operator},
		{"operator by primary group", syscall.Credential{Uid: 44002, Gid: operators}, Operator},
		{"operator of many groups", syscall.Credential{Uid: 44003, Gid: 44003, Groups: append(slices.Clone(many), operators)}, Operator},
		{"viewer", syscall.Credential{Uid: 44004, Gid: 44004, Groups: []uint32{viewers}}, Viewer},
		{"both", syscall.Credential{Uid: 44005, Gid: viewers, Groups: []uint32{operators}}, Operator},
		{"other", syscall.Credential{Uid: 44006, Gid: 44006, Groups: []uint32{0, 44006, 45000, 45003}}, Nobody},
		{"other of many groups", syscall.Credential{Uid: 44007, Gid: 44007, Groups: many}, Nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.take()
			got := s.as(t, c.peer)
			calls := s.take()
			actor := fmt.Sprintf("uid %d", c.peer.Uid)
			if c.peer.Uid == 0 {
				actor = "root (uid 0)"
			}
			check := func(verb string, allowed bool, group string) {
				t.Helper()
				a, change := got[verb], slices.Contains(changing, verb)
				name := verb // a refused reader is noted by its path
				if !change {
					name = "/v1/" + verb
				}
				refused := slices.Contains(calls, "refused "+name+" to "+actor)
				asked := slices.ContainsFunc(calls, func(call string) bool { return strings.HasPrefix(call, verb+" ") })
				switch {
				case allowed && (a.Status != 200 || refused):
					t.Errorf("%s: %d %s, calls %q", verb, a.Status, a.Body, calls)
				case allowed && change && (!slices.Contains(calls, verb+" shop by "+actor) || !strings.Contains(a.Body, `"actor": "`+actor+`"`)):
					t.Errorf("%s: not carried out in the peer's name: %s, calls %q", verb, a.Body, calls)
				case !allowed && (asked || !refused):
					t.Errorf("%s: the backend was asked, or the refusal not noted: %q", verb, calls)
				case !allowed:
					var f Failure
					if err := json.Unmarshal([]byte(a.Body), &f); err != nil || a.Status != 403 || f.Code != release.NotAuthorised || f.ID == "" || f.Next == "" ||
						!strings.Contains(f.Text, actor) || !strings.Contains(f.Text, group) {
						t.Errorf("%s: %d %s", verb, a.Status, a.Body)
					}
				}
			}
			for _, verb := range reading {
				check(verb, c.want != Nobody, "teal-viewers")
			}
			for _, verb := range changing {
				check(verb, c.want == Operator, "teal-operators")
			}
			if c.want != Nobody {
				var about About
				if err := json.Unmarshal([]byte(got["version"].Body), &about); err != nil || about.Role != c.want || about.Actor != actor || about.Version != "v1.2.3" || about.Instance != "an-instance" {
					t.Errorf("version: %v %+v", err, about)
				}
			}
		})
	}
}
