package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInitFollowsNoLinkOut: a Compose project of somebody else's may hold links to files of
// the person who makes a release of it. What they hold goes nowhere.
func TestInitFollowsNoLinkOut(t *testing.T) {
	c := newClone(t)
	project := filepath.Join(c.dir, "project")
	c.check(os.MkdirAll(project, 0o755))
	c.write("private", "SECRET=do-not-copy\n")
	c.write("project/plain.env", "A=1\n")
	c.write("project/compose.yaml", "services:\n  web:\n    image: registry.example.test/web@sha256:"+testImage+"\n    env_file: [plain.env, app.env, dir/x.env]\nconfigs: {c: {file: ./conf}}\n")
	for _, name := range []string{"app.env", "conf"} {
		c.check(os.Symlink(filepath.Join(c.dir, "private"), filepath.Join(project, name)))
	}
	c.check(os.Symlink("..", filepath.Join(project, "dir")))
	c.write("x.env", "SECRET=do-not-copy\n")
	out, errs, _ := c.ctl("init", "--from", filepath.Join(project, "compose.yaml"), "--env", "staging", "--app", "linked", "--offline", "--write", "CLONE")
	dir := filepath.Join(c.paths["CLONE"], "environments", "staging", "linked")
	if _, err := os.Stat(filepath.Join(dir, "plain.env")); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	for _, name := range []string{"app.env", "conf", "dir/x.env"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was written: %s", name, data)
		}
	}
	if strings.Contains(out+errs, "do-not-copy") {
		t.Errorf("shown:\n%s\n%s", out, errs)
	}
	if !strings.Contains(out+errs, `there is no file "app.env"`) {
		t.Errorf("not named:\n%s\n%s", out, errs)
	}
}
