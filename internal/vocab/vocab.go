// Package vocab has the few words that every room shares, the data plane included:
// the colours, the form of an app's name, and what a route covers. It is pure and
// imports next to nothing, so that teal-proxy does not link how a manifest is read:
// that costs some 5 MB and a part of a second at each start.
package vocab

import "strings"

// Colour is one of the two complete sets of an app's containers on a host.
// The zero value is the colourless project of the shared services.
type Colour string

const (
	Shared Colour = ""
	Blue   Colour = "blue"
	Green  Colour = "green"
)

// Other is the colour that c is swapped with; a first release (Shared) gets Blue.
func (c Colour) Other() Colour {
	if c == Blue {
		return Green
	}
	return Blue
}

// ValidName reports whether s can name an environment or an app: 1 to 63 lower-case
// letters, digits and inner dashes. An app's name may not end in a colour as well,
// which ValidApp asks.
func ValidName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// ValidApp reports whether s can name an app. `shop-blue` cannot: it is the project of
// the app shop in blue.
func ValidApp(s string) bool {
	return ValidName(s) && !strings.HasSuffix(s, "-"+string(Blue)) && !strings.HasSuffix(s, "-"+string(Green))
}

// Covers reports whether a request for path goes to the route of a prefix, when no
// longer one does: the path is the prefix, or lies below it. "/ai" covers /ai and
// /ai/x but not /air; "/ai/" covers /ai/x but not /ai.
func Covers[T string | []byte](prefix string, path T) bool {
	n := len(prefix)
	if len(path) < n || string(path[:n]) != prefix {
		return false
	}
	return len(path) == n || n > 0 && prefix[n-1] == '/' || path[n] == '/'
}
