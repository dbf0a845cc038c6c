package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of what proves a sender.
const (
	secretMin   = 16 // bytes: shorter ones can be guessed from a recorded signature
	secretMax   = 256
	timeWindow  = 5 * time.Minute // how far a generic hook's timestamp may be from now
	signaturePx = "sha256="
)

// readSecrets reads the one or two secrets of a file that only its owner and group may
// read.
func readSecrets(path string) ([][]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for without end
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to everybody (mode %04o); run chmod o= on it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			out = append(out, line)
		}
	}
	if len(out) == 0 || len(out) > 2 {
		return nil, fmt.Errorf("%s must hold one secret, or two while one takes the place of the other, each on its line", path)
	}
	for _, s := range out {
		if len(s) < secretMin || len(s) > secretMax {
			return nil, fmt.Errorf("%s holds a secret of %d bytes; make one with openssl rand -hex 32", path, len(s))
		}
	}
	return out, nil
}

// one gives a header that is there exactly once.
func one(h http.Header, name string) (string, bool) {
	v := h.Values(name)
	if len(v) != 1 {
		return "", false
	}
	return v[0], true
}

// parseSignature reads "sha256=" and 64 hex digits.
func parseSignature(s string) (sum [sha256.Size]byte, ok bool) {
	digits, ok := strings.CutPrefix(s, signaturePx)
	if !ok || len(digits) != hex.EncodedLen(len(sum)) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// parseTimestamp reads seconds since 1970: digits and nothing else.
func parseTimestamp(s string) (time.Time, bool) {
	if s == "" || len(s) > 11 {
		return time.Time{}, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

// signed compares with the signature that each secret makes of parts, all of them
// always.
func signed(sum [sha256.Size]byte, secrets [][]byte, parts ...[]byte) bool {
	good := 0
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		for _, p := range parts {
			mac.Write(p)
		}
		good |= subtle.ConstantTimeCompare(mac.Sum(nil), sum[:])
	}
	return good == 1
}

// holds compares a token with each secret, in a time that does not tell their length.
func holds(token string, secrets [][]byte) bool {
	have := sha256.Sum256([]byte(token))
	good := 0
	for _, secret := range secrets {
		want := sha256.Sum256(secret)
		good |= subtle.ConstantTimeCompare(have[:], want[:])
	}
	return good == 1
}

var (
	errSignature = errors.New("signature")
	errTimestamp = errors.New("timestamp")
)

// proof is what a sender brings; believed says whether it is good. For a generic hook
// key names it, so that it is not taken twice.
func believed(kind Kind, h http.Header, body []byte, secrets [][]byte, now time.Time) (key [sha256.Size]byte, err error) {
	switch kind {
	case GitLab:
		token, ok := one(h, "X-Gitlab-Token")
		if !ok || !holds(token, secrets) {
			return key, errSignature
		}
	case GitHub:
		header, _ := one(h, "X-Hub-Signature-256")
		sum, ok := parseSignature(header)
		if !ok || !signed(sum, secrets, body) {
			return key, errSignature
		}
	case Generic:
		stamp, _ := one(h, "X-Teal-Timestamp")
		header, _ := one(h, "X-Teal-Signature")
		at, ok := parseTimestamp(stamp)
		sum, okSum := parseSignature(header)
		if !ok || !okSum || !signed(sum, secrets, []byte(stamp), []byte("."), body) {
			return key, errSignature
		}
		if d := now.Sub(at); d > timeWindow || d < -timeWindow {
			return key, errTimestamp
		}
		return sum, nil
	default:
		return key, errSignature
	}
	return key, nil
}

// pushedRef finds the member "ref" of a JSON object at its top and nothing else; "" when
// there is none or it is not JSON, which a form or a ping is not either.
func pushedRef(body []byte) string {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return ""
		}
		if name == "ref" {
			value, err := d.Token()
			ref, _ := value.(string)
			if err != nil || len(ref) > 512 {
				return ""
			}
			return ref
		}
		for depth := 0; ; { // over one value, without building it
			t, err := d.Token()
			if err != nil {
				return ""
			}
			switch t {
			case json.Delim('{'), json.Delim('['):
				depth++
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
			if depth == 0 {
				break
			}
		}
	}
	return ""
}
