package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tealops/teal/internal/trust"
)

// defaultPolicy is where a host has its trust policy.
const defaultPolicy = "/etc/teal/trust.yaml"

// readPolicy reads a trust policy and checks that it is for the release's repository and
// environment.
func readPolicy(file string, w wanted) (*trust.Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	policy, err := trust.ParsePolicy(file, data)
	if err != nil {
		return nil, err
	}
	if policy.RepoID != w.repoID {
		return nil, exitError{exitNotAuthorised, fmt.Errorf("repo_id_mismatch: the repository says %s, the policy %s", w.repoID, policy.RepoID)}
	}
	return policy, nil
}

// policyAtHand is the policy that a person who signs has beside them: the named one, else
// TEAL_POLICY, else this machine's if it is for this environment. nil: there is none, so
// that nothing can be verified before signing.
func (t *tool) policyAtHand(file string, w wanted) (*trust.Policy, error) {
	if file == "" {
		file = os.Getenv("TEAL_POLICY")
	}
	named := file != ""
	if !named {
		file = defaultPolicy
	}
	policy, err := readPolicy(file, w)
	switch {
	case named && err == nil && policy.Environment != w.rel.Environment:
		return nil, usage(fmt.Errorf("%s is for %s, the release for %s", file, policy.Environment, w.rel.Environment))
	case named:
		return policy, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil || policy.Environment != w.rel.Environment:
		fmt.Fprintf(t.err, "! %s is not the policy of this release and was not used; name one with --policy\n", file)
		return nil, nil
	}
	return policy, nil
}
