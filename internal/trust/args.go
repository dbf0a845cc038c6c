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
	// With --timeout it stops half-way, at times with exit code 0, and what it has is the report.
	Gitleaks: {"--baseline-path", "-b", "--gitleaks-ignore-path", "-i", "--enable-rule", "--max-target-megabytes", "--max-decode-depth", "--timeout",
		"--log-opts", "--staged", "--pre-commit", "protect", "stdin", "--config", "-c"},
}

// shortValue are single-letter flags that may carry their value in the same word.
var shortValue = []string{"-s", "-c", "-b", "-i"}

// switches are single-letter flags without a value: another one may follow in the same
// word, as in -vb baseline.json.
const switches = "dhqv"

// abbreviates are scanners that take the beginning of a long flag for the flag.
var abbreviates = []string{PipAudit, Semgrep}

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
			switch {
			case flag == refused:
				return arg
			case strings.HasPrefix(arg, "--"):
				if len(flag) > 2 && slices.Contains(abbreviates, scanner) && strings.HasPrefix(refused, flag) {
					return arg
				}
			case strings.HasPrefix(arg, "-") && slices.Contains(shortValue, refused) && strings.HasPrefix("-"+strings.TrimLeft(arg[1:], switches), refused):
				return arg
			}
		}
	}
	return ""
}
