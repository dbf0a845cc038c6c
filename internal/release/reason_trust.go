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
}
