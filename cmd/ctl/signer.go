package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// signer loads a private key, asking for its passphrase at the terminal if it has one.
func (t *tool) signer(file string) (ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		in, ok := t.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return nil, usage(fmt.Errorf("%s has a passphrase and there is no terminal to ask for it", file))
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
