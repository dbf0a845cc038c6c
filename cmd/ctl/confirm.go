package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// canAsk reports whether a person is there to answer.
func (t *tool) canAsk() bool {
	f, ok := t.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// answer puts a question to a person at a terminal and is their line, trimmed.
func (t *tool) answer(question string) (string, error) {
	if !t.canAsk() {
		return "", usage(fmt.Errorf("this asks before it acts, and there is no terminal; run the same line with --yes: tealctl %s --yes", strings.Join(os.Args[1:], " ")))
	}
	fmt.Fprint(t.err, question+" ")
	line, err := bufio.NewReader(t.stdin).ReadString('\n')
	if err != nil {
		return "", exitError{exitFailed, errors.New("no answer; nothing was done")}
	}
	return strings.TrimSpace(line), nil
}
