// Command bench-trust measures how long the evidence of a release takes to verify,
// against the reference tool and against encoding/json in the same run: alternating
// rounds, medians and ratios. It ends with 1 when a bound is missed.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tealops/teal/internal/release"
	"github.com/tealops/teal/internal/trust"
)

const (
	rounds   = 7
	imageHex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func main() {
	dir, err := os.MkdirTemp("", "teal-bench-trust-")
	must(err)
	defer os.RemoveAll(dir)
	fmt.Printf("bench-trust: %d rounds, alternating, medians; %d cores, %s\n", rounds, runtime.NumCPU(), runtime.Version())
	good := evidence(dir)
	good = bigReport() && good
	good = garbage() && good
	if !good {
		os.RemoveAll(dir)
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-trust:", err)
		os.Exit(1)
	}
}

// report is one of Trivy with findings up to a size in bytes.
func report(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"OS":{"Family":"debian"}},"Results":[{"Target":"app","Vulnerabilities":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"VulnerabilityID":"CVE-2026-%05d","PkgID":"libssl3@3.0.%d","PkgName":"libssl3","InstalledVersion":"3.0.%d","FixedVersion":"3.1.%d","Status":"fixed","Layer":{"DiffID":"sha256:%064d"},"SeveritySource":"debian","PrimaryURL":"https://avd.example.com/nvd/cve-2026-%05d","Title":"a buffer that is too small","Description":%q,"Severity":"LOW","CweIDs":["CWE-787"],"CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N/AC:L","V3Score":3.1}},"References":["https://example.com/a","https://example.com/b"],"PublishedDate":"2026-01-01T00:00:00Z"}`,
			i, i, i, i, i, i, strings.Repeat("It was found that this and that happens when a caller does so. ", 12))
	}
	b.WriteString(`]}]}`)
	return b.Bytes()
}

// evidence: three approvals and one attestation with a report of 1 MB against three runs
// of ssh-keygen -Y verify.
func evidence(dir string) bool {
	message := bytes.Repeat([]byte("approval.json "), 100)
	var sigs [][]byte
	var keys []ssh.PublicKey
	var allowed bytes.Buffer
	for i := range 3 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		signer, err := ssh.NewSignerFromSigner(key)
		must(err)
		sig, err := trust.SignSSH(signer, trust.NamespaceApproval, message)
		must(err)
		sigs, keys = append(sigs, sig), append(keys, signer.PublicKey())
		must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.sig", i)), sig, 0o600))
		fmt.Fprintf(&allowed, "p%d %s", i, ssh.MarshalAuthorizedKey(signer.PublicKey()))
	}
	must(os.WriteFile(filepath.Join(dir, "allowed"), allowed.Bytes(), 0o600))
	scanner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	attestation, err := trust.SignEnvelope(scanner, fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{"scanner":{"name":"trivy","version":"1"},"scan":{"startedOn":"2026-11-01T00:00:00Z","finishedOn":"2026-11-01T00:00:00Z","args":[],"exitCode":0,"target":{"image":"x@sha256:%s"}},"report":{"format":"trivy-json","content":%s}}}`,
		imageHex, trust.PredicateTypeScan, imageHex, report(1<<20)))
	must(err)
	ours := func() {
		for i, data := range sigs {
			sig, err := trust.ParseSSHSig(data)
			must(err)
			must(sig.Verify(message, trust.NamespaceApproval, keys[i]))
		}
		env, err := trust.ParseEnvelope(attestation)
		must(err)
		must(env.Verify(scanner.Public()))
		st, err := trust.ParseInToto(env.Payload)
		must(err)
		scan, err := trust.ParseScan(st)
		must(err)
		_, err = trust.ParseReport(scan.Scanner, scan.Format, scan.Report)
		must(err)
	}
	theirs := func() {
		for i := range 3 {
			cmd := exec.Command("ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "allowed"), "-I", fmt.Sprintf("p%d", i), "-n", trust.NamespaceApproval, "-s", filepath.Join(dir, fmt.Sprintf("%d.sig", i)))
			cmd.Stdin = bytes.NewReader(message)
			if out, err := cmd.CombinedOutput(); err != nil {
				must(fmt.Errorf("ssh-keygen: %w %s", err, out))
			}
		}
	}
	a, b := compare(ours, theirs)
	return ratio("3 approvals and a 1 MB attestation / 3 × ssh-keygen -Y verify, time", ms(a), ms(b), float64(a)/float64(b), 0.5)
}

// bigReport: a report of 20 MB against encoding/json into any.
func bigReport() bool {
	data := report(20 << 20)
	ours := func() { _, err := trust.ParseReport(trust.Trivy, "trivy-json", data); must(err) }
	theirs := func() {
		var v any
		must(json.Unmarshal(data, &v))
	}
	a, b := compare(ours, theirs)
	ok := ratio("20 MB report / encoding/json into any, time", ms(a), ms(b), float64(a)/float64(b), 0.4)
	x, y := allocated(ours), allocated(theirs)
	return ratio("20 MB report / encoding/json into any, bytes allocated", mb(x), mb(y), float64(x)/float64(y), 0.25) && ok
}

// garbage: 10,000 signature files beside the statement are refused without being read.
func garbage() bool {
	digest := release.Digest(strings.Repeat("b", 64))
	dir := trust.ApprovalDir("production", "shop", digest)
	fsys := fstest.MapFS{dir + "/" + trust.StatementFile: {Data: []byte("{}"), Mode: 0o644}}
	block := pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: make([]byte, 300)})
	for i := range 10_000 {
		fsys[fmt.Sprintf("%s/%05d.sig", dir, i)] = &fstest.MapFile{Data: block, Mode: 0o644}
	}
	began := time.Now()
	e, err := trust.Gather(fsys, "production", "shop", digest)
	must(err)
	took := time.Since(began)
	fmt.Printf("%-70s %10s  too many: %v, read %d\n", "10,000 garbage signature files", ms(took), e.TooMany, len(e.Signatures))
	return e.TooMany && len(e.Signatures) == 0
}

// compare runs two things in turn and gives their medians.
func compare(a, b func()) (time.Duration, time.Duration) {
	a() // warm
	b()
	var x, y []time.Duration
	for range rounds {
		x, y = append(x, timed(a)), append(y, timed(b))
	}
	slices.Sort(x)
	slices.Sort(y)
	return x[rounds/2], y[rounds/2]
}

func timed(f func()) time.Duration {
	runtime.GC()
	began := time.Now()
	f()
	return time.Since(began)
}

// allocated is what f takes from the heap in all, whether it keeps it or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func ratio(what, ours, theirs string, r, bound float64) bool {
	mark := "ok"
	if r > bound {
		mark = "MISSED"
	}
	fmt.Printf("%-70s %10s / %10s = %.3f (bound %.2f) %s\n", what, ours, theirs, r, bound, mark)
	return r <= bound
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
func mb(n uint64) string        { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
