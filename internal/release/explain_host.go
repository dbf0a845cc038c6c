package release

// hostPages explains 2xxx.
var hostPages = map[Code]page{
	PullFailed:          {byOperator, "Before anything live is touched every image is pulled by digest; the registry did not answer, was too slow, or the connection broke.", "docker pull registry.example.com/shop@sha256:2c26…"},
	DiskFull:            {byRoot, "Two versions need room at once, and teal keeps a reserve so that going back never needs any; a step forward would have used it.", "df -h /var/lib/docker; docker image prune"},
	NameTaken:           {byRoot, "Containers, networks and volumes carry the instance of the agent that made them; one of the needed name carries another or none.", "docker inspect shop-green | grep teal.instance"},
	EngineUnreachable:   {byRoot, "The agent got no answer on the engine's socket: dockerd is down, being restarted, or hangs. Containers and proxy go on without it.", "systemctl status docker; journalctl -u docker -n 50"},
	RegistryDenied:      {byRoot, "The registry answered 401 or 403 to the credentials of this host; a token expired, was revoked, or never existed.", "docker login registry.example.com"},
	ImageMissing:        {byPipeline, "The registry answers, but it has no manifest of that digest: it was never pushed there, or a cleaning rule removed it.", "docker buildx imagetools inspect registry.example.com/shop@sha256:2c26…"},
	ImageDigestMismatch: {byRoot, "What arrived was hashed and is something else than what was approved: a broken cache or mirror, or somebody on the way.", "docker pull registry.example.com/shop@sha256:2c26…   # from another host, compare"},
	CreateFailed:        {byAuthor, "The engine looked at the container's specification and refused it, for example a runtime, a limit or an option that it does not have.", "tealctl explain shop   # shows the engine's words"},
	StartFailed:         {byAuthor, "The engine started the container's process and it did not stay: a wrong command, a missing file, a missing setting.", "tealctl logs shop backend --colour green"},
	ObjectInUse:         {byOperator, "A network or volume of the release must change, and something that still uses it stands in the way of making it anew.", "docker network inspect shop-green; tealctl resume shop"},
	AddressTaken:        {byRoot, "Routed containers have fixed addresses so that a reboot needs no agent; a container of somebody else took one on the edge network.", "docker network inspect teal-edge"},
	ExternalMissing:     {byRoot, "external: true says that the host has the network or volume already; this one does not.", "docker network create monitoring"},
	EdgeNetworkMismatch: {byRoot, "teal's edge network was made with other settings than agent.yaml asks for; changing it would cut off what serves.", "docker network inspect teal-edge --format '{{json .IPAM}}'"},
	ContainerMissing:    {byNobody, "The journal says that a container should be there and the engine does not have it: somebody removed it, or the engine lost it.", "docker events --filter event=destroy --since 1h"},
	EngineRefused:       {byRoot, "The engine answered with an error that neither the release nor the host's disk explains; often it helps that it is asked again.", "journalctl -u docker -n 50"},
	FileNotWritten:      {byRoot, "Secrets and configs become files of the state directory before the containers that mount them; the write did not succeed.", "df -h /var/lib/teal; ls -ld /var/lib/teal/releases"},

	"secret_missing":     {byRoot, "The release names a secret as external, and agent.yaml of this host says nothing about where its value is.", "secrets: {shop: {database-url: {file: /etc/teal/secrets/database-url}}}"},
	"secret_empty":       {byRoot, "The file or credential is there and holds no byte: mostly a deployment of the host that was interrupted.", "ls -l /etc/teal/secrets"},
	"secret_too_large":   {byRoot, "Secrets are kept with each stored release and read into memory, so their size is bounded.", "ls -l /etc/teal/secrets"},
	"secret_unreadable":  {byRoot, "The agent's user may not read the file, or a part of its path is missing or a link.", "ls -l /etc/teal/secrets; systemctl cat teal-agent | grep LoadCredential"},
	"secret_misplaced":   {byAuthor, "Every sealed value carries its environment, app and name inside, so that a copied file cannot be used elsewhere.", "tealctl secrets encrypt --env production --app shop --name database-url"},
	"secret_unopened":    {byRoot, "The age file was sealed for other recipients than this host's identity, or cut off on its way.", "age-keygen -y /etc/teal/identity.txt"},
	"identity_missing":   {byRoot, "Values sealed with age can be opened only with the private half of one of their recipients.", "age-keygen -o /etc/teal/identity.txt; chmod 0400 /etc/teal/identity.txt"},
	"host_label_missing": {byRoot, "hostEnv takes a value from label.NAME, and this host declares no label of that name.", "labels: {region: eu-1}   # in agent.yaml"},
	"inputs_lost":        {byRoot, "A stored release is started again with the secrets and values that it had; those of this one are gone or changed.", "ls -l /var/lib/teal/releases"},
}
