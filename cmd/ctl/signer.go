package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/term"

	"github.com/tealops/teal/internal/trust"
)

// keyChoice is how a person names the key to sign with: a file, or one of their agent's.
type keyChoice struct {
	file  string
	agent bool
}

// signer finds the key. A private key file is read; a public one picks the agent's key.
// Without a file it is the only key of the agent whose signature counts, by counts, if
// that is given. done ends the talk with the agent.
func (t *tool) signer(choice keyChoice, counts func(ssh.PublicKey) bool) (s ssh.Signer, done func(), err error) {
	done = func() {}
	if choice.file != "" {
		data, err := os.ReadFile(choice.file)
		if err != nil {
			return nil, done, fmt.Errorf("read the key: %w", err)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil && choice.agent {
			return nil, done, usage(fmt.Errorf("%s is no public key; with --agent, --key names the .pub file of a key that the agent holds", choice.file))
		}
		if err != nil {
			s, err := t.privateKey(choice.file, data)
			return s, done, err
		}
		counts = func(k ssh.PublicKey) bool { return slices.Equal(k.Marshal(), public.Marshal()) }
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, done, usage(errors.New("no key to sign with: give --key FILE, or start ssh-agent and add your key (SSH_AUTH_SOCK is not set)"))
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, done, fmt.Errorf("ask ssh-agent: %w", err)
	}
	s, err = pickKey(agent.NewClient(conn), choice.file, counts)
	if err != nil {
		conn.Close()
		return nil, done, err
	}
	return s, func() { conn.Close() }, nil
}

// pickKey is the one key of the agent that is meant. It never guesses between two.
func pickKey(a agent.Agent, file string, counts func(ssh.PublicKey) bool) (ssh.Signer, error) {
	keys, err := a.List()
	if err != nil {
		return nil, fmt.Errorf("list the keys of ssh-agent: %w", err)
	}
	signers, err := a.Signers()
	if err != nil {
		return nil, fmt.Errorf("list the keys of ssh-agent: %w", err)
	}
	var meant []ssh.Signer
	var held []string
	for _, s := range signers {
		if _, cert := s.PublicKey().(*ssh.Certificate); cert || strings.Contains(s.PublicKey().Type(), "-cert-v01@") {
			continue // never counted
		}
		line := ssh.FingerprintSHA256(s.PublicKey())
		for _, k := range keys {
			if slices.Equal(k.Blob, s.PublicKey().Marshal()) {
				line += " " + trust.Escape(k.Comment)
			}
		}
		if counts == nil || counts(s.PublicKey()) {
			meant, line = append(meant, s), line+"  *"
		}
		held = append(held, "  "+line)
	}
	list := "\n" + strings.Join(held, "\n")
	switch {
	case len(meant) == 1:
		return meant[0], nil
	case len(held) == 0:
		return nil, usage(errors.New("ssh-agent holds no key; add yours with ssh-add, or give --key FILE"))
	case file != "":
		return nil, usage(fmt.Errorf("ssh-agent does not hold the key of %s; add it with ssh-add. It holds:%s", file, list))
	case len(meant) == 0:
		return nil, usage(fmt.Errorf("no key of ssh-agent is one that the policy counts here; give --key FILE. It holds:%s", list))
	}
	return nil, usage(fmt.Errorf("ssh-agent holds %d keys that could sign (*); say which with --key FILE.pub:%s", len(meant), list))
}

// privateKey loads a private key, asking for its passphrase at the terminal if it has one.
func (t *tool) privateKey(file string, data []byte) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		in, ok := t.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return nil, usage(fmt.Errorf("%s has a passphrase and there is no terminal to ask for it; add the key to ssh-agent", file))
		}
		fmt.Fprintf(t.err, "passphrase of %s: ", file)
		phrase, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(t.err)
		if err != nil {
			return nil, err
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, phrase)
		if err != nil {
			return nil, fmt.Errorf("unlock %s: %w", file, err)
		}
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return signer, nil
}

func signerName(s ssh.Signer) string {
	sum := strings.TrimPrefix(ssh.FingerprintSHA256(s.PublicKey()), "SHA256:")
	return strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(sum, ""))[:12]
}

// mayCount reports whether the policy has this key for a person who has a say in a
// statement of this kind. Whether it counts in the end is the verdict's to say.
func mayCount(policy *trust.Policy, kind trust.Kind, key ssh.PublicKey) bool {
	k, known := policy.KeyOf(key)
	if _, revoked := policy.Revoked(key); !known || revoked || k.Person == "" {
		return false
	}
	rules := policy.Rules()
	if e := rules.Emergency; kind == trust.KindEmergency && e != nil && slices.Contains(policy.Members(e.Role), k.Person) {
		return true
	}
	for _, rule := range rules.Approvals {
		if slices.Contains(policy.Members(rule.Role), k.Person) {
			return true
		}
	}
	return false
}
