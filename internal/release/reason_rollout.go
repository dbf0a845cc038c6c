package release

// Reasons 4xxx: where a deployment stands, why it waits, why it went back.
const (
	Converged          Code = "converged"
	Working            Code = "working"
	StillBaking        Code = "still_baking"
	Frozen             Code = "frozen"
	Quarantined        Code = "quarantined"
	SameAsQuarantined  Code = "same_as_quarantined"
	SharedChanged      Code = "shared_changed"
	NewerRelease       Code = "newer_release"
	RevertedInGit      Code = "reverted_in_git"
	NotInRepository    Code = "not_in_repository"
	RollbackOrdered    Code = "rollback_ordered"
	RolledBack         Code = "rolled_back"
	RollbackNoTarget   Code = "rollback_no_target"
	RollbackFailed     Code = "rollback_failed"
	ProgressDeadline   Code = "progress_deadline"
	ConfirmUnanswered  Code = "confirm_unanswered"
	ConfirmDenied      Code = "confirm_denied"
	TurnTaken          Code = "turn_taken"
	StaleGeneration    Code = "stale_generation"
	ProxyUnreachable   Code = "proxy_unreachable"
	ProxyDrift         Code = "proxy_drift"
	HandoverFailed     Code = "handover_failed"
	ProbeFailed        Code = "probe_failed"
	SmokeFailed        Code = "smoke_failed"
	BakeFailed         Code = "bake_failed"
	BakeErrorRate      Code = "bake_error_rate"
	BakeBurst          Code = "bake_burst"
	BakeUnmeasured     Code = "bake_unmeasured"
	BakeNoEvidence     Code = "bake_no_evidence"
	BakeNoTraffic      Code = "bake_no_traffic"
	UnprovenByTraffic  Code = "unproven_by_traffic"
	Inconclusive       Code = "inconclusive"
	SharedCause        Code = "shared_cause"
	ContainerExited    Code = "container_exited"
	ContainerOOM       Code = "container_oom"
	ContainerGone      Code = "container_gone"
	CrashLoop          Code = "crash_loop"
	NoProven           Code = "no_proven"
	RevertFailed       Code = "revert_failed"
	RevertedUnhealthy  Code = "reverted_unhealthy"
	Drift              Code = "drift"
	Flapping           Code = "flapping"
	CleanUp            Code = "clean_up"
	StateLost          Code = "state_lost"
	StateCorrupt       Code = "state_corrupt"
	JournalFull        Code = "journal_full"
	NoAgentIdentity    Code = "no_identity"
	NoCommitYet        Code = "no_commit_yet"
	NotFrozen          Code = "not_frozen"
	EffectTimeout      Code = "step_timeout"
	EffectFailed       Code = "step_failed"
	ShelfUnreadable    Code = "stored_release_unreadable"
	EvidenceUnreadable Code = "evidence_unreadable"
	EdgeFull           Code = "edge_network_full"
	NotPlaced          Code = "not_placed"
	SingletonAmbiguous Code = "singleton_ambiguous"
	Removed            Code = "removed"
	NotRemovable       Code = "not_removable"
	FormerStands       Code = "former_stands"
	FormerBusy         Code = "former_busy"
	FormerConflict     Code = "former_conflict"
	AppRenamed         Code = "app_renamed"
	TakesOver          Code = "takes_over"
	JobFailed          Code = "job_failed"
	ReplaceFailed      Code = "replace_failed"
	Broken             Code = "broken_invariant"
)

var rolloutReasons = []Reason{
	{Number: 4001, Code: Converged, Summary: "What runs is what is wanted.", Next: "Nothing to do."},
	{Number: 4002, Code: Working, Summary: "A step is being carried out.", Next: "Wait; tealctl status -w follows it.", Waits: true},
	{Number: 4003, Code: StillBaking, Summary: "The new colour serves and is being watched.", Next: "Wait; the old colour stays warm until the watch is over.", Waits: true},
	{Number: 4004, Code: Frozen, Summary: "The environment or the app is frozen: nothing goes forward.", Next: "Wait for the freeze to end, or lift it with tealctl unfreeze.", Waits: true},
	{Number: 4005, Code: Quarantined, Summary: "This release was found bad and nobody starts it again.", Next: "Commit a corrected release with the next sequence, or clear it with tealctl retry."},
	{Number: 4006, Code: SameAsQuarantined, Summary: "This release has another number but runs the same as a quarantined one.", Next: "Change what was bad, or clear the quarantine with tealctl retry."},
	{Number: 4007, Code: SharedChanged, Summary: "The specification of a shared service changes, and shared services are not swapped.", Next: "Keep the shared service as it is, or write x-teal: {shared: true, replace: stop-first} and let it be approved."},
	{Number: 4008, Code: NewerRelease, Summary: "A newer accepted release took its place.", Next: "Nothing to do."},
	{Number: 4009, Code: RevertedInGit, Summary: "Git wants what ran before, so the deployment went back.", Next: "Nothing to do."},
	{Number: 4010, Code: NotInRepository, Summary: "The repository has no release for this app; what runs keeps running.", Next: "Commit a release, or an approved removal with absent: true."},
	{Number: 4011, Code: RollbackOrdered, Summary: "An operator ordered a rollback.", Next: "Nothing to do."},
	{Number: 4012, Code: RolledBack, Summary: "The app is held where an operator rolled it back to.", Next: "Revert the release in Git, commit a newer one, or run tealctl resume."},
	{Number: 4013, Code: RollbackNoTarget, Summary: "This host keeps no proven release of that name to roll back to.", Next: "Run tealctl history to see what is kept."},
	{Number: 4014, Code: RollbackFailed, Summary: "The older release did not come up; what was live still serves.", Next: "Read tealctl explain, repair the host, and order the rollback again or commit a newer release."},
	{Number: 4015, Code: ProgressDeadline, Summary: "The deployment made no progress for 15 minutes and was taken back.", Next: "Read tealctl explain for the step that hung; teal tries again by itself."},
	{Number: 4016, Code: ConfirmUnanswered, Summary: "The fleet did not answer the confirmation in time.", Next: "Check the fleet's quorum; teal tries again by itself."},
	{Number: 4017, Code: ConfirmDenied, Summary: "The fleet refused the confirmation.", Next: "Read the detail; teal tries again when it has changed."},
	{Number: 4018, Code: TurnTaken, Summary: "Another deployment has the turn.", Next: "Wait for it to end.", Waits: true},
	{Number: 4019, Code: StaleGeneration, Summary: "The proxy already knows a higher generation; the switch is repeated with the next one.", Next: "Nothing to do."},
	{Number: 4020, Code: ProxyUnreachable, Summary: "The proxy's control socket does not answer.", Next: "Check systemctl status teal-proxy."},
	{Number: 4021, Code: ProxyDrift, Summary: "The proxy does not serve what the journal says; it is told again.", Next: "Nothing to do."},
	{Number: 4022, Code: HandoverFailed, Summary: "The services without route did not change over.", Next: "Read the container's last log lines in tealctl explain."},
	{Number: 4023, Code: ProbeFailed, Summary: "The new colour did not pass its probe in time.", Next: "Read the last answer and log lines in tealctl explain."},
	{Number: 4024, Code: SmokeFailed, Summary: "A smoke request was not answered as the manifest says.", Next: "Read the answer in tealctl explain."},
	{Number: 4025, Code: BakeFailed, Summary: "Samples of the bake failed.", Next: "Read the failing rules in tealctl explain; commit a corrected release."},
	{Number: 4026, Code: BakeErrorRate, Summary: "The share of errors rose above what the bake allows.", Next: "Look at the app's errors; commit a corrected release."},
	{Number: 4027, Code: BakeBurst, Summary: "A burst of errors began right after the switch.", Next: "Look at the app's errors; commit a corrected release."},
	{Number: 4028, Code: BakeUnmeasured, Summary: "The bake's rules could not be measured several times in a row.", Next: "Check what the rules measure with tealctl explain."},
	{Number: 4029, Code: BakeNoEvidence, Summary: "No probe or smoke rule gave a sample, so the bake proves nothing.", Next: "Give a routed service a probe, or the release a smoke request."},
	{Number: 4030, Code: BakeNoTraffic, Summary: "The manifest requires traffic for the bake, and there was too little.", Next: "Send traffic, or set bake.requireTraffic: false."},
	{Number: 4031, Code: UnprovenByTraffic, Summary: "The release passed by probes alone: there was too little traffic to judge.", Next: "Nothing to do."},
	{Number: 4032, Code: Inconclusive, Summary: "The bake ended twice without evidence; the new colour serves, the old one stays warm.", Next: "Decide: tealctl resume to accept it and watch again, or tealctl rollback."},
	{Number: 4033, Code: SharedCause, Summary: "Both colours fail, so the release is not the cause.", Next: "Look for what they share: database, network, host."},
	{Number: 4034, Code: ContainerExited, Summary: "A container of the new colour ended.", Next: "Read its exit code and last log lines in tealctl explain."},
	{Number: 4035, Code: ContainerOOM, Summary: "A container of the new colour was killed for memory.", Next: "Raise its memory limit or mend the leak, and commit a newer release."},
	{Number: 4036, Code: ContainerGone, Summary: "A container of the new colour is gone.", Next: "Find out who removed it."},
	{Number: 4037, Code: CrashLoop, Summary: "A container of the new colour ends again and again.", Next: "Read its last log lines in tealctl explain."},
	{Number: 4038, Code: NoProven, Summary: "The first release is bad and there is nothing proven to go back to; it keeps serving.", Next: "Commit a corrected release with the next sequence; it goes on by itself."},
	{Number: 4039, Code: RevertFailed, Summary: "Going back did not succeed; a person is needed now.", Next: "Read tealctl explain, repair the host, then tealctl rollback or a newer release."},
	{Number: 4040, Code: RevertedUnhealthy, Summary: "Traffic is back on the proven release, but the front door does not answer well.", Next: "Look for what both releases share: database, network, host."},
	{Number: 4041, Code: Drift, Summary: "Something of the live release was removed or stopped; it is put back.", Next: "Find out who did it."},
	{Number: 4042, Code: Flapping, Summary: "The live release keeps ending after being put back; repairs pause.", Next: "Read its logs; tealctl rollback goes back to an older release."},
	{Number: 4043, Code: CleanUp, Summary: "Left-over containers are being removed.", Next: "Nothing to do."},
	{Number: 4044, Code: StateLost, Summary: "Containers of this agent run, but its state does not know them.", Next: "Restore the state from a backup, or run tealctl state init --sequence APP=N as root."},
	{Number: 4045, Code: StateCorrupt, Summary: "The journal was changed or damaged.", Next: "Restore the state directory from a backup; what runs goes on serving."},
	{Number: 4046, Code: JournalFull, Summary: "The journal's disk is full: nothing goes forward, going back stays possible.", Next: "Free space on the state directory's filesystem; teal goes on by itself."},
	{Number: 4047, Code: NoAgentIdentity, Summary: "This agent has no identity yet and starts nothing.", Next: "Run tealctl state init as root."},
	{Number: 4048, Code: NoCommitYet, Summary: "No commit of the repository was accepted yet.", Next: "Wait for the first fetch, or read tealctl status for its error.", Waits: true},
	{Number: 4049, Code: NotFrozen, Summary: "There is no such freeze to lift.", Next: "Run tealctl status to see what is frozen."},
	{Number: 4050, Code: EffectTimeout, Summary: "A step took longer than it may.", Next: "Read the detail for what it waited for; teal tries again by itself."},
	{Number: 4051, Code: EffectFailed, Summary: "A step could not be carried out.", Next: "Read the detail; teal tries again by itself."},
	{Number: 4052, Code: ShelfUnreadable, Summary: "A stored release is missing or damaged.", Next: "Restore the state directory from a backup, or commit a newer release."},
	{Number: 4053, Code: EvidenceUnreadable, Summary: "The approvals of this release could not be read.", Next: "Look at the files under approvals/ that the detail names."},
	{Number: 4054, Code: EdgeFull, Summary: "The edge network has no free address.", Next: "Give edge.subnet a larger network in agent.yaml, or lower keep."},
	{Number: 4060, Code: NotPlaced, Summary: "The app's placement keeps it off this host; what runs here of it keeps running.", Next: "Nothing to do if it runs elsewhere; tealctl app remove APP --host ends what still runs here; labels of agent.yaml bring it back."},
	{Number: 4061, Code: SingletonAmbiguous, Summary: "A service that may run once in the fleet fits more than one host.", Next: "Give its placement a label that one host has, or take the label from the other hosts' agent.yaml."},
	{Number: 4062, Code: Removed, Summary: "The app was removed from this host: an approved removal, or an operator's order.", Next: "Nothing to do. A newer release deploys it again; tealctl rollback APP brings the last proven one back unless its volumes were purged."},
	{Number: 4063, Code: NotRemovable, Summary: "The app may not be removed from this host by an order: Git wants it here, cannot be read, or nothing of the app is here.", Next: "Commit an approved removal with absent: true, or change its placement or the host's labels first."},
	{Number: 4064, Code: FormerStands, Summary: "The app under the former name still stands in the repository, so this one does not take its place.", Next: "Remove the directory of the former name, or take x-teal.formerly out of the manifest."},
	{Number: 4065, Code: FormerBusy, Summary: "The app under the former name is still at something; its place is taken when that has ended.", Next: "Wait; tealctl status shows what it is at.", Waits: true},
	{Number: 4066, Code: FormerConflict, Summary: "The place of the former name cannot be taken: this app runs here already, another one asks for it too, or the former name is not in use any more.", Next: "Correct or remove x-teal.formerly; the detail says who has what."},
	{Number: 4067, Code: AppRenamed, Summary: "The app has another name on this host: a manifest under the former name starts nothing.", Next: "Commit releases under the new name; to give the old one back, rename it with x-teal.formerly once more."},
	{Number: 4068, Code: TakesOver, Summary: "The app takes the place of the one under its former name: volumes, routes, shared services, sequence and history.", Next: "Nothing to do."},
	{Number: 4070, Code: JobFailed, Summary: "A job of the release failed.", Next: "Read its last log lines in the detail or with tealctl logs; commit a corrected release."},
	{Number: 4071, Code: ReplaceFailed, Summary: "The replacement of a shared service did not come up; the one before was put back.", Next: "Read its last log lines in the detail; commit a corrected release."},
	{Number: 4099, Code: Broken, Summary: "An invariant of teal itself does not hold.", Next: "Report it with tealctl events."},
}
