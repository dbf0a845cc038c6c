package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/trust"
)

// agree shows what is about to be signed and asks.
func (s *signing) agree(t *tool, st statement) error {
	fmt.Fprint(t.err, planText(s.w, s.old)+s.statementText(st))
	if s.yes || s.dry {
		return nil
	}
	if s.signer == nil {
		return t.ask("Write this statement?")
	}
	question := s.verb + " as " + ssh.FingerprintSHA256(s.signer.PublicKey()) + "?"
	if st.Kind != trust.KindEmergency || s.namespace != "" {
		return t.ask(question)
	}
	answer, err := t.answer(question + " Type the incident's id to go on:")
	if err == nil && answer != st.Incident {
		err = exitError{exitFailed, errors.New("not confirmed; nothing was signed")}
	}
	return err
}

func (s *signing) statementText(st statement) string {
	var b strings.Builder
	if st.Kind == trust.KindEmergency {
		line := strings.Repeat("!", 72)
		fmt.Fprintf(&b, "%s\n!!! EMERGENCY %s\n!!! %s\n!!! lets past: %s\n", line, trust.Escape(st.Incident), trust.Escape(st.Reason), orNothing(st.Waives))
		fmt.Fprintf(&b, "!!! It is logged, shown and counted. The release is a debt until people approve it normally.\n%s\n", line)
	}
	b.WriteString(checklistText(st.Checklist, s.ticks))
	fmt.Fprintf(&b, "  prepared by %s\n  issued      %s%s\n", orNobody(st.PreparedBy), st.IssuedAt.Format(time.RFC3339), map[bool]string{true: ", new", false: ", by an earlier approver"}[st.fresh])
	fmt.Fprintf(&b, "  expires     %s\n", st.ExpiresAt.Format(time.RFC3339))
	// Whoever pushes first chooses the lifetime: the others see that it will not do.
	if holds, most := st.ExpiresAt.Sub(st.IssuedAt), longestOf(s.policy, st.Kind); most > 0 && holds > most {
		fmt.Fprintf(&b, "  ! it holds for %s, the policy allows %s: hosts will refuse it\n", holds, most)
	}
	if s.signer != nil {
		fmt.Fprintf(&b, "  signing as  %s%s\n", ssh.FingerprintSHA256(s.signer.PublicKey()), s.whose(st))
	}
	return b.String()
}

// whose says what the policy at hand makes of the key.
func (s *signing) whose(st statement) string {
	if s.policy == nil {
		return ""
	}
	k, known := s.policy.KeyOf(s.signer.PublicKey())
	switch {
	case !known || k.Person == "":
		return "\n  ! the policy does not have this key for any person: the signature will not count"
	case !mayCount(s.policy, st.Kind, s.signer.PublicKey()):
		return " " + k.Person + "\n  ! the policy gives " + k.Person + " no say here, or the key is revoked: the signature will not count"
	case s.policy.Rules().ExcludePreparer && k.Person == st.PreparedBy && st.Kind == trust.KindNormal:
		return " " + k.Person + "\n  ! " + k.Person + " prepared the release: the signature will not count"
	}
	return " " + k.Person
}

func orNothing(words []string) string {
	if len(words) == 0 {
		return "nothing but a closed window"
	}
	return strings.Join(words, ", ")
}

func orNobody(who string) string {
	if who == "" {
		return "nobody named"
	}
	return trust.Escape(who)
}
