package gitops

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// secrets are what is sent to log in, as a server may send it back: some show the
// headers of the request on their error pages, and what a server says is logged, served
// as status, and told to people.
type secrets []string

func secretsOf(auth transport.AuthMethod) secrets {
	switch a := auth.(type) {
	case *githttp.TokenAuth:
		return secrets{a.Token}
	case *githttp.BasicAuth:
		return secrets{base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password)), a.Password}
	}
	return nil
}

// hide takes the secrets out of an error's text. What it is stays the same.
func (s secrets) hide(err error) error {
	if err == nil {
		return nil
	}
	if known := (*Error)(nil); errors.As(err, &known) {
		clean := &Error{Code: known.Code, Detail: s.clean(known.Detail)}
		if known.Err != nil {
			clean.Err = &silenced{s.clean(known.Err.Error()), known.Err}
		}
		return clean
	}
	return &silenced{s.clean(err.Error()), err}
}

func (s secrets) clean(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return text
}

// silenced is an error with another text.
type silenced struct {
	text string
	err  error
}

func (e *silenced) Error() string { return e.text }
func (e *silenced) Unwrap() error { return e.err }
