// Package trust decides whether this host may activate a release: it turns a
// release, the evidence in Git and the host's own policy into a Verdict with
// reasons, and says who agreed.
//
// What it holds:
//   - SSH signatures (SSHSIG) and DSSE envelopes: strict parsers, verifiers, signers;
//   - approval.json: the statement that approvers sign, as exact bytes, normal or
//     emergency; vetoes over the same bytes;
//   - statements of pipelines: scans with the scanners' native reports, test results,
//     provenance, deployments; what they found is decided here and nowhere else;
//   - commits: who signed what changed the release;
//   - Evidence: what the evidence commit holds for one release, read with bounds;
//   - Policy: the host's /etc/teal/trust.yaml, or a signed chain of policies in Git, parsed
//     strictly, all problems at once;
//   - host access: what a manifest asks of the host, denied unless the policy lists it;
//   - Evaluate: all of it together.
//
// What it does not do: it fetches nothing, opens no file of the host (the evidence
// comes as an fs.FS over one commit's tree), and knows no clock but Input.Now. It
// does not check that trust.yaml belongs to root, that a tag in an image name still
// points somewhere, nor that a bind source is no symlink: bind sources are compared
// as text, exactly, so that a container that may write below an allowed directory
// gains nothing by planting a symlink there; that the listed path itself leads where
// root meant is root's to see to.
//
// Invariants, each with a test:
//   - everything fails closed: what is not understood is refused or not counted;
//   - persons are counted, not signatures, keys or files;
//   - removing evidence never turns a refusal into an acceptance (unless there was
//     too much of it to read), but for a veto, which its signer may withdraw by removing
//     it; a newer scan that is removed is missed, for the host remembers it (Verdict.Seen);
//   - a file that anybody with push access can add beside the statement is ignored,
//     never fatal, unless there are more than 64;
//   - equal arguments give equal verdicts; the order of files does not matter;
//   - text from outside is escaped before it stands in a verdict.
//
// Nothing here runs or is stopped, and a crash leaves nothing behind: the marks
// against rollback (Marks) are the caller's to keep.
package trust
