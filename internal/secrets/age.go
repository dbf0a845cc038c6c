package secrets

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/tealops/teal/internal/release"
)

// Recipients is the name of the file of an environment's recipients in the repository:
// environments/<env>/recipients.txt, one age public key a line.
const Recipients = "recipients.txt"

const (
	headWord      = "teal-secret-v1"
	maxIdentity   = 64 << 10
	maxRecipients = 256
)

// Errors of opening a secret; the caller branches on them.
var (
	ErrUnopened  = errors.New("it could not be opened")
	ErrMisplaced = errors.New("it was sealed for another place")
	ErrEmpty     = errors.New("it is empty")
	ErrTooLarge  = fmt.Errorf("it is larger than %d bytes", MaxSecret)
)

// Place says where a secret belongs: nobody can use one that was sealed for another
// environment, app or name.
type Place struct{ Env, App, Name string }

func (p Place) String() string { return p.Env + "/" + p.App + "/" + p.Name }

func parsePlace(text string) (p Place, ok bool) {
	env, rest, _ := strings.Cut(text, "/")
	app, name, _ := strings.Cut(rest, "/")
	return Place{env, app, name}, release.ValidName(env) && release.ValidApp(app) && release.ValidSecret(name)
}

func (p Place) head() string { return headWord + " " + p.String() + "\n" }

// Seal writes a secret for a place so that only the recipients can open it, armoured.
func Seal(place Place, value Secret, to []age.Recipient) ([]byte, error) {
	switch {
	case len(value) == 0:
		return nil, ErrEmpty
	case len(value) > MaxSecret:
		return nil, ErrTooLarge
	}
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, to...)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", place, err)
	}
	_, err = io.WriteString(w, place.head())
	if err == nil {
		_, err = w.Write(value)
	}
	if err = errors.Join(err, w.Close(), text.Close()); err != nil {
		return nil, fmt.Errorf("seal %s: %w", place, err)
	}
	return out.Bytes(), nil
}

// Open reads a sealed secret, armoured or not. No error holds anything of the value.
func Open(place Place, sealed []byte, with []age.Identity) (Secret, error) {
	var in io.Reader = bytes.NewReader(sealed)
	if text := bytes.TrimLeft(sealed, "\r\n\t "); bytes.HasPrefix(text, []byte(armor.Header)) {
		in = armor.NewReader(bytes.NewReader(text))
	}
	r, err := age.Decrypt(in, with...)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return nil, fmt.Errorf("%w: this host's identity is none of its recipients", ErrUnopened)
		}
		return nil, fmt.Errorf("%w: it is damaged", ErrUnopened)
	}
	most := len(place.head()) + 256 + MaxSecret
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnopened)
	}
	head, value, ok := bytes.Cut(data, []byte("\n"))
	switch {
	case !ok || !bytes.HasPrefix(head, []byte(headWord+" ")):
		return nil, fmt.Errorf("%w: its first line is not %s and a place", ErrMisplaced, headWord)
	case string(head)+"\n" != place.head():
		other, ok := parsePlace(string(head[len(headWord)+1:]))
		if !ok { // what stands there is not repeated: somebody may have written the value on that line
			return nil, fmt.Errorf("%w: its first line is not %s and a place", ErrMisplaced, headWord)
		}
		return nil, fmt.Errorf("%w: %s, not %s", ErrMisplaced, other, place)
	case len(value) == 0:
		return nil, ErrEmpty
	case len(value) > MaxSecret:
		return nil, ErrTooLarge
	}
	return value, nil
}

// clip shortens and escapes a text of unknown origin.
func clip(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.Trim(fmt.Sprintf("%+q", s), `"`)
}

// ParseRecipients reads recipients.txt: one age public key a line, comments with #. name
// is the file's, for messages.
func ParseRecipients(name string, text []byte) ([]age.Recipient, error) {
	var out []age.Recipient
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		found, err := age.ParseRecipients(strings.NewReader(line))
		if err != nil {
			what := clip(line)
			if strings.Contains(strings.ToUpper(line), "AGE-SECRET-KEY-") {
				what = "a line with a private key, which must never be here,"
			}
			errs = append(errs, fmt.Errorf("%s:%d: %s is no age recipient; write one such as age1…", name, n, what))
			continue
		}
		out = append(out, found...)
	}
	switch {
	case lines.Err() != nil:
		errs = append(errs, fmt.Errorf("%s: a line is too long", name))
	case len(out) == 0 && len(errs) == 0:
		errs = append(errs, fmt.Errorf("%s names no recipient; write the age public key of each host, one a line", name))
	case len(out) > maxRecipients:
		errs = append(errs, fmt.Errorf("%s names more than %d recipients", name, maxRecipients))
	}
	return out, errors.Join(errs...)
}

// LoadIdentity reads the host's age identity file, which nobody else may read.
func LoadIdentity(file string) ([]age.Identity, error) {
	ids, _, err := loadIdentity(file)
	return ids, err
}

// loadIdentity gives the SHA-256 of the file too.
func loadIdentity(file string) (ids []age.Identity, sum [sha256.Size]byte, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for without end
	if err != nil {
		return nil, sum, fmt.Errorf("read the age identity: %w", err)
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, sum, fmt.Errorf("read the age identity: %w", err)
	case !info.Mode().IsRegular():
		return nil, sum, fmt.Errorf("%s is not a plain file", file)
	case info.Mode().Perm()&0o077 != 0:
		return nil, sum, fmt.Errorf("%s is open to others (mode %04o): it opens every secret; run chmod 400 %s", file, info.Mode().Perm(), file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentity+1))
	if err != nil {
		return nil, sum, fmt.Errorf("read the age identity: %w", err)
	}
	if len(data) > maxIdentity {
		return nil, sum, fmt.Errorf("%s is longer than %d bytes", file, maxIdentity)
	}
	ids, err = age.ParseIdentities(bytes.NewReader(data))
	if err != nil { // the library's text may hold a line of the file
		return nil, sum, fmt.Errorf("%s is no age identity file; make one with age-keygen", file)
	}
	return ids, sha256.Sum256(data), nil
}

// WriteSealed replaces an age file with mode 0600: whole or not at all.
func WriteSealed(file string, sealed []byte) error {
	if err := writeFile(file, sealed, os.Geteuid(), os.Getegid(), 0o600); err != nil {
		return fmt.Errorf("write the age file: %w", err)
	}
	return nil
}
