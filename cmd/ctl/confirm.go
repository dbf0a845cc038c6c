package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"

	"github.com/tealops/teal/internal/release"
)

// canAsk reports whether a person is there to answer.
func (t *tool) canAsk() bool {
	f, ok := t.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// answer puts a question to a person at a terminal and is their line, trimmed.
func (t *tool) answer(question string) (string, error) {
	if !t.canAsk() {
		return "", t.needsYes()
	}
	fmt.Fprint(t.err, question+" ")
	line, err := bufio.NewReader(t.stdin).ReadString('\n')
	if err != nil {
		return "", unconfirmed(errors.New("no answer; nothing was done"))
	}
	return strings.TrimSpace(line), nil
}

// ask puts a question to a person at a terminal; anything but yes is no.
func (t *tool) ask(question string) error {
	line, err := t.answer(question + " [y/N]")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(strings.ToLower(line), "y") {
		return unconfirmed(errors.New("not confirmed; nothing was done"))
	}
	return nil
}

func unconfirmed(err error) error {
	return exitError{exitFailed, &advice{err: err, code: release.NotConfirmed}}
}

// needsYes refuses to act without a question that nobody is there to answer, with the
// line that acts.
func (t *tool) needsYes() error {
	line := t.line() + " --yes"
	return usage(&advice{err: errors.New("this asks before it acts, and there is no terminal to ask at; nothing was done"), code: release.ConfirmationNeeded,
		next: "Run the same line with --yes: " + line})
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// line is the command line of this run, as a shell reads it.
func (t *tool) line() string {
	words := []string{"tealctl"}
	for _, a := range t.args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}
