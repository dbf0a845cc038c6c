package gitops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const shopDir = "environments/production/shop"

// subjects names the commits that Changes found, by their subject, sorted.
func (o *origin) subjects(c trust.Changes) []string {
	o.t.Helper()
	var out []string
	for _, x := range c.Commits {
		out = append(out, o.git("log", "-1", "--format=%s", x.ID))
	}
	slices.Sort(out)
	return out
}

func (o *origin) head() Snapshot {
	o.t.Helper()
	s, err := ReadLocal(o.bare, "refs/heads/main", Limits{})
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// TestChangesFollowed: the clone of a followed repository, local or over HTTP, holds the
// history that Changes needs.
func TestChangesFollowed(t *testing.T) {
	o := newOrigin(t)
	o.write(shopDir+"/release.yaml", "1\n")
	first := o.commit("A")
	for i := range 3 {
		o.write(shopDir+"/release.yaml", fmt.Sprintf("%d\n", i+2))
		o.commit(fmt.Sprintf("B%d", i))
	}
	server := o.serve(asItIs).URL + "/origin.git"
	for name, url := range map[string]string{"local": o.bare, "http": server} {
		r, err := Open(Config{URL: url, Branch: "main", Dir: filepath.Join(t.TempDir(), "git"), RepoID: testRepoID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		head, ok := r.Head()
		if !ok {
			t.Fatal("no head")
		}
		got, err := head.Changes(t.Context(), shopDir, first)
		if err != nil {
			t.Fatal(err)
		}
		if got.Unknown != "" || !slices.Equal(o.subjects(got), []string{"B0", "B1", "B2"}) {
			t.Errorf("%s: %v %s", name, o.subjects(got), got.Unknown)
		}
	}
}

// signedPolicy lists ann's SSH key, bob's OpenPGP key and the pipeline's key.
func signedPolicy(t *testing.T, ssh, pgp, ci string) *trust.Policy {
	t.Helper()
	p, err := trust.ParsePolicy("trust.yaml", fmt.Appendf(nil, `apiVersion: teal/v1
kind: Trust
repoId: %s
environment: production
policy:
  people:
    ann@example.com: {keys: [{id: ann-1, ssh: "%s"}]}
    bob@example.com: {keys: [{id: bob-1, openpgp: "%s"}]}
  services: {ci-bot: {keys: [{id: ci-1, ssh: "%s"}], statements: [commits], apps: ["*"]}}
  environments: {production: {approvals: []}}
`, testRepoID, ssh, strings.ReplaceAll(pgp, "\n", `\n`), ci))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCommitSigners: commits that the real git signs, with SSH and OpenPGP keys, are by
// whom the policy says; everything else is by nobody.
func TestCommitSigners(t *testing.T) {
	o := newOrigin(t)
	keys := t.TempDir()
	public := map[string]string{}
	for _, name := range []string{"ann", "ci", "eve"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(keys, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		data, err := os.ReadFile(filepath.Join(keys, name+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		public[name] = strings.TrimSpace(string(data))
	}
	home := filepath.Join(keys, "gnupg")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	gpg := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v; apt-get install gnupg", args, err)
		}
		return string(out)
	}
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	for _, name := range []string{"bob", "mallory"} {
		gpg("--quick-gen-key", name+"@example.com", "rsa3072", "sign", "never")
	}
	policy := signedPolicy(t, public["ann"], gpg("--armor", "--export", "bob@example.com"), public["ci"])

	n := 0
	signed := func(args ...string) trust.Commit {
		t.Helper()
		n++
		o.write(shopDir+"/release.yaml", fmt.Sprintln(n))
		since := o.git("rev-parse", "HEAD")
		o.git("add", "-A")
		o.git(append(args, "commit", "-q", "-m", fmt.Sprintf("change %d\n\nwith a body\n\n gpgsig of nothing", n))...)
		o.git("push", "-q", "origin", "HEAD:main")
		c, err := o.head().Changes(t.Context(), shopDir, since)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Commits) != 1 || c.Unknown != "" {
			t.Fatalf("%+v", c)
		}
		return c.Commits[0]
	}
	withSSH := func(name string) []string {
		return []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + filepath.Join(keys, name), "-c", "commit.gpgsign=true"}
	}
	t.Setenv("GNUPGHOME", home)
	withPGP := func(name string) []string {
		return []string{"-c", "user.signingkey=" + name + "@example.com", "-c", "commit.gpgsign=true"}
	}
	ann := signed(withSSH("ann")...)
	for name, c := range map[string]struct {
		commit  trust.Commit
		person  string
		service string
	}{
		"ann with SSH":       {ann, "ann@example.com", ""},
		"bob with OpenPGP":   {signed(withPGP("bob")...), "bob@example.com", ""},
		"the pipeline":       {signed(withSSH("ci")...), "", "ci-bot"},
		"a stranger's SSH":   {signed(withSSH("eve")...), "", ""},
		"a stranger's PGP":   {signed(withPGP("mallory")...), "", ""},
		"nobody":             {signed("-c", "commit.gpgsign=false"), "", ""},
		"another's content":  {trust.Commit{Signed: append([]byte("x"), ann.Signed...), Signature: ann.Signature}, "", ""},
		"garbage":            {trust.Commit{Signed: ann.Signed, Signature: []byte("x")}, "", ""},
		"X.509":              {trust.Commit{Signed: ann.Signed, Signature: []byte("-----BEGIN SIGNED MESSAGE-----\n")}, "", ""},
		"a signature, long":  {trust.Commit{Signed: ann.Signed, Signature: make([]byte, 1<<20)}, "", ""},
		"approval namespace": {trust.Commit{Signed: ann.Signed, Signature: []byte(approvalSignature(t, filepath.Join(keys, "ann"), ann.Signed))}, "", ""},
	} {
		key, err := c.commit.Signer(policy)
		if (err == nil) != (c.person+c.service != "") || key.Person != c.person || key.Service != c.service {
			t.Errorf("%s: by %q %q, %v", name, key.Person, key.Service, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), string(release.AuthorUnknown)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// And git says the same of what we took.
	allowed := filepath.Join(keys, "allowed")
	if err := os.WriteFile(allowed, []byte("ann@example.com "+public["ann"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.git("-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", ann.ID)
}

func approvalSignature(t *testing.T, key string, data []byte) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", "-Y", "sign", "-f", key, "-n", trust.NamespaceApproval)
	cmd.Stdin = strings.NewReader(string(data))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
