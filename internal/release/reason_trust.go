package release

// Reasons 3xxx: what people and the host's own trust policy say of a release.
// The first part are reasons of a verdict; the last part says why one signature
// was not counted and stands only in a verdict's observations.
const (
	ApprovalThreshold        Code = "approval_threshold"
	ApprovalDigestMismatch   Code = "approval_digest_mismatch"
	ApprovalEnvMismatch      Code = "approval_env_mismatch"
	ApprovalAppMismatch      Code = "approval_app_mismatch"
	ApprovalImageMismatch    Code = "approval_image_mismatch"
	ApprovalSequenceMismatch Code = "approval_sequence_mismatch"
	ApprovalPreparerMismatch Code = "approval_preparer_mismatch"
	ApprovalPreparerUnknown  Code = "approval_preparer_unknown"
	ApprovalMalformed        Code = "approval_malformed"
	ApprovalExpired          Code = "approval_expired"
	ApprovalNotYetValid      Code = "approval_not_yet_valid"
	ApprovalTooLong          Code = "approval_too_long"
	TooManySignatures        Code = "too_many_signatures"
	ReleaseEnvMismatch       Code = "release_env_mismatch"
	SequenceRollback         Code = "sequence_rollback"
	SequenceEquivocation     Code = "sequence_equivocation"
	SequenceJump             Code = "sequence_jump"
	ClockUntrusted           Code = "clock_untrusted"
	PolicyInvalid            Code = "policy_invalid"
	PolicyBelowFloor         Code = "policy_below_floor"
	HostAccessDenied         Code = "host_access_denied"
	Vetoed                   Code = "vetoed"
	AuthorUnknown            Code = "author_unknown"

	AttestationMissing        Code = "attestation_missing"
	AttestationUntrusted      Code = "attestation_untrusted"
	AttestationUnsigned       Code = "attestation_unsigned"
	AttestationMalformed      Code = "attestation_malformed"
	AttestationPayloadType    Code = "attestation_payload_type"
	AttestationPredicateType  Code = "attestation_predicate_type"
	AttestationStale          Code = "attestation_stale"
	AttestationDBStale        Code = "attestation_db_stale"
	AttestationFuture         Code = "attestation_future"
	AttestationIncomplete     Code = "attestation_incomplete"
	AttestationReportMismatch Code = "attestation_report_mismatch"
	AttestationRollback       Code = "attestation_rollback"
	AttestationArgsRefused    Code = "attestation_args_refused"
	AttestationTooLarge       Code = "attestation_too_large"
	AttestationUnreachable    Code = "attestation_unreachable"
	AttestationSourceMismatch Code = "attestation_source_mismatch"
	FindingBlocked            Code = "finding_blocked"
	SecretFound               Code = "secret_found"
	PolicyCheckFailed         Code = "policy_check_failed"
	ProvenanceMissing         Code = "provenance_missing"
	PolicyThreshold           Code = "policy_threshold"
	PolicyVersion             Code = "policy_version"
	PolicyRollback            Code = "policy_rollback"
	PolicyEquivocation        Code = "policy_equivocation"
	PolicyExpired             Code = "policy_expired"
	EmergencyInvalid          Code = "emergency_invalid"
	EmergencyLimit            Code = "emergency_limit"
	OutsideWindow             Code = "outside_window"

	WrongNamespace         Code = "wrong_namespace"
	UnauthorizedSigner     Code = "unauthorized_signer"
	SignatureInvalid       Code = "signature_invalid"
	MalformedSignature     Code = "malformed_signature"
	WeakOrUnknownAlgorithm Code = "weak_or_unknown_algorithm"
	KeyExpired             Code = "key_expired"
	KeyNotYetValid         Code = "key_not_yet_valid"
	KeyRevoked             Code = "key_revoked"
	SignerPrepared         Code = "signer_prepared"
	EvidenceIgnored        Code = "evidence_ignored"
	SignerCommitted        Code = "signer_committed"
	FindingWaived          Code = "finding_waived"
	FindingSuppressed      Code = "finding_suppressed"
	EmergencyUsed          Code = "emergency_used"
	EmergencyDebt          Code = "emergency_debt"
	ApprovalWaiting        Code = "approval_waiting"
)

var trustReasons = []Reason{
	{Number: 3001, Code: ApprovalThreshold, Summary: "Too few persons of the required role have approved this release.", Next: "Someone of the role runs tealctl approve.", Waits: true},
	{Number: 3002, Code: ApprovalDigestMismatch, Summary: "The approval is for other bytes: the release directory was changed after it was approved.", Next: "Restore the approved files, or have the approvers read and approve the new ones."},
	{Number: 3003, Code: ApprovalEnvMismatch, Summary: "The approval is for another environment.", Next: "Approve this release for this environment with tealctl approve."},
	{Number: 3004, Code: ApprovalAppMismatch, Summary: "The approval is for another app.", Next: "Approve this release for this app with tealctl approve."},
	{Number: 3005, Code: ApprovalImageMismatch, Summary: "The approval lists other images than the release runs.", Next: "Remove the approval and approve again with tealctl approve."},
	{Number: 3006, Code: ApprovalSequenceMismatch, Summary: "The approval names another sequence than the manifest.", Next: "Remove the approval and approve again with tealctl approve."},
	{Number: 3007, Code: ApprovalPreparerMismatch, Summary: "The approval names another preparer than the manifest.", Next: "Remove the approval and approve again with tealctl approve."},
	{Number: 3008, Code: ApprovalPreparerUnknown, Summary: "The policy does not count the preparer, but the manifest does not say who prepared the release.", Next: "Write x-teal.preparedBy in the manifest and have it approved again."},
	{Number: 3009, Code: ApprovalMalformed, Summary: "approval.json is not a valid approval statement.", Next: "Remove approval.json and its signatures and approve again with tealctl approve."},
	{Number: 3010, Code: ApprovalExpired, Summary: "The approval has expired before the release was activated.", Next: "Remove the expired approval and approve again with tealctl approve."},
	{Number: 3011, Code: ApprovalNotYetValid, Summary: "The approval was issued in this host's future.", Next: "Compare the clocks of this host and of the approver; teal goes on by itself when the time has come.", Waits: true},
	{Number: 3012, Code: ApprovalTooLong, Summary: "The approval holds for longer than the policy's maxApprovalAge.", Next: "Approve again with a shorter lifetime."},
	{Number: 3013, Code: TooManySignatures, Summary: "The approval directory holds too many files to read.", Next: "Remove the surplus files from the approval directory."},
	{Number: 3014, Code: ReleaseEnvMismatch, Summary: "The release is for another environment than this host's.", Next: "Compare environment in /etc/teal/trust.yaml with the directory that the agent follows."},
	{Number: 3015, Code: SequenceRollback, Summary: "The release is older than one that this host has already accepted.", Next: "Make it a new release with tealctl release new --from VERSION, or go back with tealctl rollback."},
	{Number: 3016, Code: SequenceEquivocation, Summary: "Another release with the same sequence was already accepted on this host.", Next: "Give the changed release the next sequence and have it approved."},
	{Number: 3017, Code: SequenceJump, Summary: "The sequence jumps too far ahead; accepting it could use up all later numbers.", Next: "Use the next sequence, or have root set the mark with tealctl state init --sequence APP=N."},
	{Number: 3018, Code: ClockUntrusted, Summary: "This host's clock is behind a time that it has already seen, so expiry cannot be judged.", Next: "Correct the clock (timedatectl); what runs goes on serving.", Waits: true},
	{Number: 3019, Code: PolicyInvalid, Summary: "The trust policy of this host does not load.", Next: "Correct /etc/teal/trust.yaml at the named line; the policy that was loaded before stays in force."},
	{Number: 3020, Code: PolicyBelowFloor, Summary: "The trust policy asks for less than its own minimums.", Next: "Correct the environment's rules or the minimums in /etc/teal/trust.yaml."},
	{Number: 3021, Code: HostAccessDenied, Summary: "The manifest asks for something of the host that the host's own policy does not allow this app.", Next: "Remove it from the manifest, or have root allow it under hostAccess in /etc/teal/trust.yaml."},
	{Number: 3022, Code: Vetoed, Summary: "A person of a role that may approve has rejected this release.", Next: "Read why, mend the release and commit it anew; or the person withdraws the veto by removing their file."},
	{Number: 3023, Code: AuthorUnknown, Summary: "The policy leaves out whoever changed the release, but a commit that changed it does not say so with a signature that teal knows.", Next: "Sign commits with a key of the policy, or have somebody listed in the policy commit the release anew."},
	{Number: 3024, Code: AttestationMissing, Summary: "A scan that the policy asks for is not there for this image and platform.", Next: "Run the named scanner on the image and attest its report with tealctl attest scan.", Waits: true},
	{Number: 3025, Code: AttestationUntrusted, Summary: "The only attestations of a scan are by keys that the policy does not trust for it.", Next: "Have the pipeline sign with a key that trust.yaml lists for this scanner."},
	{Number: 3026, Code: AttestationUnsigned, Summary: "An attestation carries no signature.", Next: "Attest again with tealctl attest scan, which signs."},
	{Number: 3027, Code: AttestationMalformed, Summary: "An attestation is not a well-formed statement.", Next: "Attest again with tealctl attest scan; never edit a report."},
	{Number: 3028, Code: AttestationPayloadType, Summary: "An envelope holds something else than an in-toto statement.", Next: "Attest again with tealctl attest scan or cosign attest."},
	{Number: 3029, Code: AttestationPredicateType, Summary: "A signed statement is of another kind than a scan.", Next: "Attest the scanner's report with tealctl attest scan."},
	{Number: 3030, Code: AttestationStale, Summary: "The newest scan is older than the policy allows.", Next: "Scan the image again and attest the report.", Waits: true},
	{Number: 3031, Code: AttestationDBStale, Summary: "The scan was made with a vulnerability database older than the policy allows.", Next: "Let the scanner update its database, scan again and attest the report.", Waits: true},
	{Number: 3032, Code: AttestationFuture, Summary: "A scan claims to have been made in this host's future.", Next: "Compare the clocks of this host and of the pipeline, and scan again."},
	{Number: 3033, Code: AttestationIncomplete, Summary: "A scan did not look at everything, so nothing can be concluded from what it did not find.", Next: "Mend what the detail names and scan again."},
	{Number: 3034, Code: AttestationReportMismatch, Summary: "The scanner's own report is about another image than the attestation claims.", Next: "Scan the image by its digest and attest that report."},
	{Number: 3035, Code: AttestationRollback, Summary: "A newer scan of this image was seen before and is gone.", Next: "Restore the newer attestation, or scan again; find out who removed it."},
	{Number: 3036, Code: AttestationArgsRefused, Summary: "The scanner was told to leave things out.", Next: "Scan without filters and attest that report; waive single findings in the policy."},
	{Number: 3037, Code: AttestationTooLarge, Summary: "The attestations of this release are larger than teal reads.", Next: "Remove attestations that are no longer needed, or split the report's content by scanner."},
	{Number: 3038, Code: FindingBlocked, Summary: "A scanner found something of a severity that the policy blocks.", Next: "Mend it and release a new image; or have the security role waive the named finding with a reason and an expiry."},
	{Number: 3039, Code: SecretFound, Summary: "A scanner found a secret; secrets are never waived.", Next: "Revoke the secret, remove it from the image or the source, and release a new image."},
	{Number: 3040, Code: PolicyCheckFailed, Summary: "A check that the pipeline attested did not pass.", Next: "Mend what the named check found and attest again."},
	{Number: 3041, Code: ProvenanceMissing, Summary: "The policy asks for provenance that shows from which commit and builder the image came, and none does.", Next: "Attest provenance with tealctl attest provenance in the pipeline that builds the image.", Waits: true},
	{Number: 3042, Code: PolicyThreshold, Summary: "The next policy in Git is not signed by enough of the root.", Next: "Have more members of the root sign it with tealctl trust rotate; the policy before it stays in force."},
	{Number: 3043, Code: PolicyVersion, Summary: "The next policy in Git does not carry the version that its name says, or a step of the chain is missing.", Next: "Publish versions one by one with tealctl trust rotate; the policy before it stays in force."},
	{Number: 3044, Code: PolicyRollback, Summary: "The policy chain in Git ends before the version that this host has accepted.", Next: "Restore the chain; the newest accepted policy stays in force."},
	{Number: 3045, Code: PolicyEquivocation, Summary: "The accepted version of the policy has other content in Git now.", Next: "Restore the chain and find out who changed it; the accepted policy stays in force."},
	{Number: 3046, Code: PolicyExpired, Summary: "The trust policy has expired, so nothing new may start; what runs keeps running.", Next: "Publish the next version with tealctl trust rotate."},
	{Number: 3047, Code: EmergencyInvalid, Summary: "The emergency approval is not one that the policy allows.", Next: "Correct what the detail names and have a member of the emergency role sign again."},
	{Number: 3048, Code: EmergencyLimit, Summary: "The app has used up its emergency approvals for 24 hours.", Next: "Have the release approved normally.", Waits: true},
	{Number: 3049, Code: OutsideWindow, Summary: "The policy allows releases only in its windows, and none is open.", Next: "Wait for the named time; an emergency approval passes.", Waits: true},
	{Number: 3050, Code: AttestationUnreachable, Summary: "The registry's attestations could not be read, and those in Git do not suffice.", Next: "Check the registry and its credentials; teal tries again by itself.", Waits: true},
	{Number: 3051, Code: AttestationSourceMismatch, Summary: "A scan of the source looked at another commit than the one that the release was built from.", Next: "Scan the commit that x-teal.source names and attest that report."},

	{Number: 3101, Code: WrongNamespace, Summary: "A signature was made for another purpose and is not counted.", Next: "Sign again with tealctl approve, or with ssh-keygen -Y sign -n teal-approval-v1."},
	{Number: 3102, Code: UnauthorizedSigner, Summary: "A signature is by a key or person that the policy gives no say here and is not counted.", Next: "Have a person of the required role approve, or have root add the key to /etc/teal/trust.yaml."},
	{Number: 3103, Code: SignatureInvalid, Summary: "A signature does not match the bytes of approval.json and is not counted.", Next: "Sign the approval.json that is in the repository; never edit or reformat it."},
	{Number: 3104, Code: MalformedSignature, Summary: "A file is not a well-formed SSH signature and is not counted.", Next: "Make it again with tealctl approve, or with ssh-keygen -Y sign."},
	{Number: 3105, Code: WeakOrUnknownAlgorithm, Summary: "A signature uses a key or an algorithm that teal does not accept and is not counted.", Next: "Use ssh-ed25519, ecdsa-sha2-nistp256 or -nistp384, a security key, or RSA of at least 3072 bits."},
	{Number: 3106, Code: KeyExpired, Summary: "A signature is by a key past its notAfter and is not counted.", Next: "Sign with a current key, or have root renew the key in /etc/teal/trust.yaml."},
	{Number: 3107, Code: KeyNotYetValid, Summary: "A signature is by a key before its notBefore and is not counted yet.", Next: "Wait until the key is valid, or sign with a current key.", Waits: true},
	{Number: 3108, Code: KeyRevoked, Summary: "A signature is by a revoked key and is not counted.", Next: "Sign with a key that is not revoked."},
	{Number: 3109, Code: SignerPrepared, Summary: "A signature is by the person who prepared the release and is not counted.", Next: "Have another person approve."},
	{Number: 3110, Code: EvidenceIgnored, Summary: "A file in the approval directory is not evidence that teal knows and was ignored.", Next: "Nothing to do, or remove the file."},
	{Number: 3111, Code: SignerCommitted, Summary: "A signature is by a person who changed the release and is not counted.", Next: "Have another person approve."},
	{Number: 3112, Code: FindingWaived, Summary: "A finding that would block is waived by the policy.", Next: "Mend it before the waiver expires."},
	{Number: 3113, Code: FindingSuppressed, Summary: "A finding was suppressed where the scanner ran.", Next: "Look at it once; waive it in the policy instead."},
	{Number: 3114, Code: EmergencyUsed, Summary: "The release was accepted by an emergency approval.", Next: "Have it approved normally; until then it is a debt."},
	{Number: 3115, Code: EmergencyDebt, Summary: "A release runs that only an emergency approval accepted.", Next: "Have the same release approved normally with tealctl approve."},
	{Number: 3116, Code: ApprovalWaiting, Summary: "A release has waited for approval for longer than approvalWaitAlert in agent.yaml.", Next: "Ask the persons whom the verdict names."},
}
