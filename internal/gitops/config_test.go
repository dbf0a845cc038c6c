package gitops

import (
	"errors"
	"strings"
	"testing"

	"github.com/tealops/teal/internal/release"
)

func TestValidate(t *testing.T) {
	good := Config{URL: "/srv/git/deploy.git", Dir: "/var/lib/teal/git", RepoID: testRepoID}
	for name, change := range map[string]func(*Config){
		"defaults":        func(*Config) {},
		"file":            func(c *Config) { c.URL = "file:///srv/git/deploy.git" },
		"https":           func(c *Config) { c.URL = "https://git.example.com/deploy.git"; c.TokenFile = "/etc/teal/token" },
		"loopback token":  func(c *Config) { c.URL = "http://127.0.0.1:3000/deploy.git"; c.TokenFile = "/etc/teal/token" },
		"basic":           func(c *Config) { c.URL = "https://h/x"; c.UsernameFile, c.PasswordFile = "/a", "/b" },
		"branch of parts": func(c *Config) { c.Branch, c.Evidence = "env/prod", "teal/evidence" },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no url":             {func(c *Config) { c.URL = "" }, "empty"},
		"relative":           {func(c *Config) { c.URL = "deploy.git" }, "absolute"},
		"password in url":    {func(c *Config) { c.URL = "https://ann:hunter2@h/x" }, "credentials"},
		"broken url":         {func(c *Config) { c.URL = "https://ann:hunter2@h/%zz" }, "valid"},
		"query":              {func(c *Config) { c.URL = "https://h/x?token=hunter2" }, "query"},
		"no host":            {func(c *Config) { c.URL = "https:///x" }, "host"},
		"file on a host":     {func(c *Config) { c.URL = "file://other/x" }, "file:///"},
		"token without tls":  {func(c *Config) { c.URL = "http://h/x"; c.TokenFile = "/t" }, "unencrypted"},
		"token for a path":   {func(c *Config) { c.TokenFile = "/t" }, "no credentials"},
		"relative token":     {func(c *Config) { c.URL = "https://h/x"; c.TokenFile = "t" }, "absolute"},
		"token and password": {func(c *Config) { c.URL = "https://h/x"; c.TokenFile, c.UsernameFile, c.PasswordFile = "/t", "/u", "/p" }, "either"},
		"half of basic":      {func(c *Config) { c.URL = "https://h/x"; c.UsernameFile = "/u" }, "both"},
		"relative ca":        {func(c *Config) { c.CAFile = "ca.pem" }, "caFile"},
		"relative dir":       {func(c *Config) { c.Dir = "git" }, "dir"},
		"no id":              {func(c *Config) { c.RepoID = "" }, "repoId"},
		"upper-case id":      {func(c *Config) { c.RepoID = strings.ToUpper(testRepoID) }, "repoId"},
		"fast poll":          {func(c *Config) { c.Poll = 1 }, "poll"},
		"short timeout":      {func(c *Config) { c.Timeout = -1 }, "timeout"},
		"negative limit":     {func(c *Config) { c.Limits.File = -1 }, "limits"},
		"branch up":          {func(c *Config) { c.Branch = "../x" }, "branch"},
		"branch option":      {func(c *Config) { c.Branch = "--upload-pack" }, "branch"},
		"branch lock":        {func(c *Config) { c.Branch = "a.lock" }, "branch"},
		"evidence dots":      {func(c *Config) { c.Evidence = "a..b" }, "evidence"},
	} {
		cfg := good
		c.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: shows the password: %v", name, err)
		}
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	for _, url := range []string{"git://h/x", "git+ssh://git@h/x", "ftp://h/x"} {
		cfg := good
		cfg.URL = url
		var known *Error
		if err := cfg.Validate(); !errors.As(err, &known) || known.Code != release.NotSupportedYet {
			t.Errorf("%s: %v", url, err)
		}
	}
	bad := Config{URL: "", Branch: "..", Dir: "x", RepoID: "y", Poll: 1}
	if n := strings.Count(bad.Validate().Error(), "\n") + 1; n < 5 {
		t.Errorf("only %d problems: %v", n, bad.Validate())
	}
}
