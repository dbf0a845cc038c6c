package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
)

// traceHeader carries the trace of a request, as W3C Trace Context writes it.
const traceHeader = "Traceparent"

var (
	traceForm  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	parentForm = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)
)

// ParseTrace reads a trace id: 32 hex digits, or a W3C traceparent, whose trace id it is.
// Neither may be all zeros.
func ParseTrace(text string) (string, error) {
	id := text
	if m := parentForm.FindStringSubmatch(text); m != nil && len(text) <= 512 {
		if m[1] == "ff" || m[1] == "00" && m[4] != "" || strings.Trim(m[3], "0") == "" {
			return "", errTrace
		}
		id = m[2]
	}
	if !traceForm.MatchString(id) || strings.Trim(id, "0") == "" {
		return "", errTrace
	}
	return id, nil
}

var errTrace = errors.New("no trace id: give 32 hex digits in lower case, or a traceparent as 00-<32 hex>-<16 hex>-01")

// NewTrace is a trace id of its own, for who was given none.
func NewTrace() string { return randomHex(16) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	b[0] |= 1           // all zeros mean none
	return hex.EncodeToString(b)
}

// traceparent is the header of one request of a trace: a new span of it.
func traceparent(id string) string { return "00-" + id + "-" + randomHex(8) + "-01" }
