package release

import (
	"regexp"

	"github.com/tealops/teal/internal/vocab"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	serviceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	// keyForm is that of networks and volumes in the manifest.
	keyForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	// objectForm is that of the engine's own names, for what lives outside the app.
	objectForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$`)
	hostForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	semver     = regexp.MustCompile(`^v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

// ValidName reports whether s can name an environment or an app.
func ValidName(s string) bool { return vocab.ValidName(s) }

// ValidApp reports whether s can name an app.
func ValidApp(s string) bool { return vocab.ValidApp(s) }

const (
	lettersNext = "use letters, digits, dot, dash and underscore"
	pathNext    = "write one such as /api/, with letters, digits and plain signs"
)

// hint says what to write instead of a text that does not have the form.
func hint(form *regexp.Regexp) string {
	next, ok := hints[form]
	if !ok {
		return "correct it"
	}
	return next
}

var hints = map[*regexp.Regexp]string{
	modeForm: "write 0440, say", nameForm: "use lower-case letters, digits and inner dashes", serviceForm: lettersNext, keyForm: lettersNext, objectForm: lettersNext,
	hostForm: "write it in lower case, without port and wildcard, such as api.example.com", hostName: "use letters, digits, dots and dashes",
	commitForm: "write the whole commit", envName: "use letters, digits and underscore, no digit in front",
	labelName: "write it without spaces and =", option: lettersNext, sysctl: "write one such as net.core.somaxconn", ulimit: "write one such as nofile",
	signalForm: "write one such as SIGTERM or 15", hostLabel: lettersNext, hostValue: "write host.name, or label. and the name of a label",
	waveForm: "write one such as 1 or 50%", routePath: pathNext, requestPath: "write one such as /health/, with escaped what is not ASCII",
	versionForm: "write letters, digits, dot, dash, plus, tilde and underscore", personForm: "write a name or an address without spaces", repoForm: "write its address without spaces",
	linkForm: "write http://… or https://…", linkName: "use letters, digits, spaces, dot, dash and underscore",
}
