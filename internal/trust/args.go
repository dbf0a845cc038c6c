package trust

import (
	"slices"
	"strings"
)

// refusedArgs are the arguments by which a scanner is told to leave things out, or to
// call a finding something else. A scan that ran with one proves nothing about what is
// not in its report (attack 41).
var refusedArgs = map[string][]string{
	Trivy: {"--severity", "-s", "--ignore-unfixed", "--ignorefile", "--ignore-policy", "--ignore-status", "--vex", "--scanners", "--security-checks",
		"--pkg-types", "--vuln-type", "--skip-dirs", "--skip-files", "--file-patterns", "--detection-priority", "--config", "-c",
		"--skip-db-update", "--skip-java-db-update", "--secret-config", "--ignored-licenses", "--severity-source", "--vuln-severity-source", "--pkg-relationships"},
	Snyk: {"--severity-threshold", "--fail-on", "--policy-path", "--exclude", "--exclude-base-image-vulns", "--exclude-app-vulns", "--prune-repeated-subdependencies",
		"--detection-depth", "--ignore-policy", "--trust-policies", "--remote-repo-url"},
	PipAudit: {"--ignore-vuln", "--skip-editable", "--no-deps", "--disable-pip"},
	Semgrep: {"--severity", "--exclude", "--include", "--exclude-rule", "--baseline-commit", "--max-target-bytes", "--no-error",
		"--skip-unknown-extensions", "--diff-depth", "--novcs"},
	Gitleaks: {"--baseline-path", "-b", "--gitleaks-ignore-path", "-i", "--enable-rule", "--max-target-megabytes", "--log-opts", "--config", "-c"},
}

// shortValue are single-letter flags that may carry their value in the same word.
var shortValue = []string{"-s", "-c", "-b", "-i"}

// ArgsRefused names the first argument that filters, "" when there is none. allow are
// arguments that the policy lets pass, compared with the whole word and with the flag
// alone.
func ArgsRefused(scanner string, args, allow []string) string {
	for _, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		if slices.Contains(allow, arg) || slices.Contains(allow, flag) {
			continue
		}
		for _, refused := range refusedArgs[scanner] {
			if flag == refused || slices.Contains(shortValue, refused) && strings.HasPrefix(arg, refused) && !strings.HasPrefix(arg, "--") {
				return arg
			}
		}
	}
	return ""
}
