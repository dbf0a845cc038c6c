package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/tealops/teal/internal/release"
)

// lister asks a server for the refs that are followed and no others, in protocol 2: one
// small request on a connection that is kept, which costs the same however many refs the
// repository has. Servers without protocol 2 list all of theirs, through go-git.
type lister struct {
	asked time.Time // when the server was last asked what it speaks
	two   bool
}

// askAgain is how long a server is taken to speak what it spoke.
const askAgain = time.Hour

// errNotTwo says that the server has to be asked in the old way, which also finds the
// words for what is wrong.
var errNotTwo = errors.New("the server does not list its refs in protocol 2")

// list gives the refs that are asked for. With any error but an *Error the server has to
// be asked in the old way.
func (l *lister) list(ctx context.Context, client *http.Client, auth githttp.AuthMethod, at string, what ask, now time.Time) (advertised, error) {
	if l.asked.IsZero() || now.Sub(l.asked) > askAgain || now.Before(l.asked) {
		l.two = false
		err := l.greet(ctx, client, auth, at)
		if err != nil && !errors.Is(err, errNotTwo) {
			return advertised{}, err
		}
		l.asked = now
	}
	if !l.two {
		return advertised{}, errNotTwo
	}
	var body bytes.Buffer
	packetLine(&body, "command=ls-refs\n")
	body.WriteString(delimiter)
	packetLine(&body, "peel\n")
	for _, name := range what.exact {
		packetLine(&body, "ref-prefix %s\n", name)
	}
	for _, prefix := range what.prefixes {
		packetLine(&body, "ref-prefix %s\n", prefix)
	}
	body.WriteString(flush)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/git-upload-pack", &body)
	if err != nil {
		return advertised{}, err
	}
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	req.Header.Set("Accept", "application/x-git-upload-pack-result")
	out := advertised{make(map[string]plumbing.Hash), make(map[string]plumbing.Hash)}
	err = speak(client, auth, req, "application/x-git-upload-pack-result", func(line string, end bool) error {
		if end {
			return nil
		}
		return out.noteLine(line)
	})
	if err != nil {
		l.asked = time.Time{} // ask anew, from the start
	}
	return out, err
}

// greet finds out whether the server speaks protocol 2, and where.
func (l *lister) greet(ctx context.Context, client *http.Client, auth githttp.AuthMethod, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return err
	}
	lists, format := false, "sha1"
	err = speak(client, auth, req, "application/x-git-upload-pack-advertisement", func(line string, end bool) error {
		switch {
		case end:
		case line == "version 2":
			l.two = true
		case line == "ls-refs" || strings.HasPrefix(line, "ls-refs="):
			lists = true
		case strings.HasPrefix(line, "object-format="):
			format = strings.TrimPrefix(line, "object-format=")
		case !l.two && !strings.HasPrefix(line, "# service="):
			return errNotTwo // a list of refs as protocol 0 has it, which may be long
		}
		return nil
	})
	switch {
	case l.two && format != "sha1" && err == nil:
		return refuse(release.NotSupportedYet, "the repository uses object-format %s, which is not supported yet", escape(format, 40))
	case err != nil:
		l.two = false
		return err
	}
	l.two = l.two && lists
	return nil
}

// speak makes one request and reads its answer's packets. A redirect is not followed:
// go-git has rules for where credentials may go then.
func speak(client *http.Client, auth githttp.AuthMethod, req *http.Request, typ string, line func(text string, end bool) error) error {
	req.Header.Set("Git-Protocol", "version=2")
	req.Header.Set("User-Agent", "git/teal")
	if auth != nil {
		auth.SetAuth(req)
	}
	stay := *client
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := stay.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode/100 == 3, res.StatusCode == http.StatusOK && res.Header.Get("Content-Type") != typ:
		return errNotTwo
	case res.StatusCode != http.StatusOK: // it may be another answer the next time
		return fmt.Errorf("the server answers %d", res.StatusCode)
	}
	if err := packets(io.LimitReader(res.Body, advertisedMax), line); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)); err != nil { // to its end, so that the connection is kept
		return err
	}
	return nil
}

// packets reads lines in Git's framing to the end of r.
func packets(r io.Reader, line func(text string, end bool) error) error {
	in := newWire(r, io.Discard)
	for {
		kind, text, err := in.line()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the server's answer: %w", err)
		}
		if err := line(text, kind != dataPacket); err != nil {
			return err
		}
	}
}
