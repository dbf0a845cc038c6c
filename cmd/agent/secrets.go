package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tealops/teal/internal/api"
	"github.com/tealops/teal/internal/hostcare"
	"github.com/tealops/teal/internal/reconcile"
	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/rollout"
	"github.com/tealops/teal/internal/secrets"
)

// credentialsEnv names the directory where systemd puts the unit's credentials.
const credentialsEnv = "CREDENTIALS_DIRECTORY"

func vaultConfig(c Config, id hostcare.Identity) secrets.Config {
	sources := map[string]map[string]secrets.Source{}
	for app, of := range c.Secrets {
		sources[app] = map[string]secrets.Source{}
		for name, s := range of {
			sources[app][name] = secrets.Source{File: s.File, Credential: s.Credential}
		}
	}
	return secrets.Config{Key: id.InputsKey(), Releases: releasesDir(c), Identity: c.Identity, Credentials: os.Getenv(credentialsEnv),
		Sources: sources, Host: c.Host, Labels: maps.Clone(c.Labels)}
}

// releasesDir is where accepted releases are kept whole.
func releasesDir(c Config) string { return filepath.Join(c.State, "releases") }

// secretsEvery is how often the sources of secrets are looked at; they are read only when
// one has changed.
const secretsEvery = 2 * time.Second

// secretsWatch wakes the loops when a source of a secret has changed.
func (a *agent) secretsWatch(ctx context.Context) error {
	if len(a.config.Secrets) == 0 {
		return nil
	}
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	for last := a.vault.Stamp(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := a.vault.Stamp(); now != last {
			last = now
			a.runner.Wake("")
		}
	}
}

// Rotate orders that the live release is swapped with the host's present secrets.
func (a *agent) Rotate(ctx context.Context, actor string, c api.Command) (api.Done, error) {
	s, err := a.one(c.App)
	if err != nil {
		return api.Done{}, err
	}
	// What the loop saw last may be older than the file that was just written.
	want := a.desk.Want(c.App, s.State, time.Now().UTC())
	if code, detail := rollout.RefuseRotate(s.State, want); code != "" {
		if detail == "" {
			if r, ok := release.Lookup(code); ok {
				detail = r.Summary
			}
		}
		return api.Done{}, api.Fail(http.StatusConflict, code, c.App+": "+detail)
	}
	done, err := a.order(ctx, actor, c, rollout.OrderRotate, "rotate", c.App+" is swapped again with the secrets and values that this host has now")
	if err == nil && !c.DryRun {
		a.begun(ctx, c.App, done.Index)
	}
	return done, err
}

// begun waits a moment until the app's loop has begun what was ordered, so that who waits
// for the end of it does not find the app at rest before.
func (a *agent) begun(ctx context.Context, app string, order uint64) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := a.one(app)
		if err != nil || s.State.OrdersSeen >= order && (s.State.Rotate == nil || s.State.Deploy != nil) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Secrets lists what this host adds to its apps.
func (a *agent) Secrets(app string) (api.Secrets, error) {
	out := api.Secrets{Meta: kind("Secrets"), Host: a.config.Host, Apps: []api.AppSecrets{}}
	all := a.apps()
	if app != "" {
		s, err := a.one(app)
		if err != nil {
			return out, err
		}
		all = []reconcile.Status{s}
	}
	for _, s := range all {
		out.Apps = append(out.Apps, a.appSecrets(s))
	}
	return out, nil
}

func (a *agent) appSecrets(s reconcile.Status) api.AppSecrets {
	out := api.AppSecrets{App: s.App, State: "none"}
	rel, err := a.desk.Release(s.App)
	if err != nil {
		out.State, out.Code, out.Detail = "missing", codeOf(err), err.Error()
		return out
	}
	if rel == nil || !rel.Asks() {
		return out
	}
	out.Version = rel.Version
	live, running := release.Given{}, false
	if l := s.State.Live; l != nil && l.ID.Digest == rel.Digest {
		out.Live, running = l.ID.Inputs, true
		if live, err = a.vault.Kept(l.ID.Target); err != nil {
			out.Code, out.Detail = codeOf(err), err.Error()
		}
	}
	out.State = "new"
	if running {
		out.State = "same"
	}
	for _, i := range a.vault.Inspect(rel) {
		item := api.GivenStatus{Name: i.Name, Kind: i.Kind, Source: i.Source, State: "new"}
		before, had := live.Env[i.Name], false
		if _, had = live.Env[i.Name]; i.Kind == "secret" {
			before, had = live.Secrets[i.Name], live.Secrets[i.Name] != ""
		}
		switch {
		case i.Err != nil:
			item.State, item.Code, item.Detail = "missing", codeOf(i.Err), i.Err.Error()
			out.State = "missing"
		case running && had && before == i.Sum:
			item.State = "same"
		case running:
			item.State = "differ"
			if out.State == "same" {
				out.State = "differ"
			}
		}
		out.Items = append(out.Items, item)
	}
	if s.Want.Set.ID.Digest == rel.Digest {
		out.Now = s.Want.Set.ID.Inputs
	}
	switch out.State {
	case "differ":
		out.Code, out.Next = release.InputsDiffer, "tealctl secrets rotate "+s.App
		if a.config.AutoRotate {
			out.Next = "nothing to do: autoRotate swaps the release by itself"
		}
	case "missing":
		i := slices.IndexFunc(out.Items, func(i api.GivenStatus) bool { return i.State == "missing" })
		out.Code, out.Detail = out.Items[i].Code, out.Items[i].Detail
		if r, ok := release.Lookup(out.Code); ok {
			out.Next = r.Next
		}
	}
	return out
}

func codeOf(err error) release.Code {
	var e *rollout.EffectError
	if errors.As(err, &e) {
		return e.Code
	}
	return release.Broken
}
