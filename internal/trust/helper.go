package trust

import (
	"errors"
	"fmt"
	"strings"
)

// HelperFailure is the failure of a registry's credential helper without what it printed when that may be the credentials
// themselves: the error is shown, logged and kept in the journal. A plain message of a
// helper stays, in part.
func HelperFailure(err error) error {
	const most = 300
	said, printed, found := strings.Cut(err.Error(), ", out: `")
	switch {
	case !found:
		return err
	case strings.ContainsAny(printed, "{}\""):
		return errors.New(said + "; what it printed is not repeated here, for it may hold the password")
	case len(printed) > most:
		printed = printed[:most] + "…`"
	}
	return fmt.Errorf("%s; it said %q", said, strings.TrimSuffix(printed, "`"))
}
