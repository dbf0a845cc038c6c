package release

// manifestPages explains 1xxx.
var manifestPages = map[Code]page{
	ManifestInvalid:      {byAuthor, "release.yaml was read and one or more of its values mean nothing, contradict each other or are out of range.", "tealctl lint --env production"},
	NotSupportedYet:      {byAuthor, "The key is part of the language of the manifest, so it is not ignored, but this version cannot carry it out.", "tealctl lint   # names the key with its line"},
	YAMLRefused:          {byAuthor, "Two readers of YAML can see two different files in tags, duplicate keys or several documents, and an approval must be of one.", "services: {web: {image: a}}   # not: services twice"},
	UnknownKey:           {byAuthor, "A key that is ignored is a wish that silently does not come true, so every unknown key is refused; mostly it is a typing error.", "comand: [serve]   # did you mean command?"},
	ImageNotPinned:       {byAuthor, "A tag can be moved to another image after people approved and scanners scanned the first one; a digest cannot.", "image: registry.example.com/shop@sha256:2c26…"},
	InterpolationRefused: {byAuthor, "A ${NAME} would be filled in from the environment of whoever reads the file, so that two hosts could run two different things.", "command: [sh, -c, 'echo $$HOME']   # $$ is a plain $"},
	ComposeNotCarried:    {byAuthor, "Compose knows the field and teal does nothing with it; leaving it in would promise what does not happen.", "tealctl lint   # names the field, its line and another way"},
	PortsRefused:         {byAuthor, "Blue and green run side by side for a while; a port of the host or a container's name can only belong to one of them.", "x-teal: {route: {host: shop.example.com, path: /, port: 8000}}"},
	RouteConflict:        {byAuthor, "The proxy sends a request to one service; with two claims to the same host and path it could only guess.", "route: {host: shop.example.com, path: /api/, port: 8000}"},
	VolumeModeMissing:    {byAuthor, "While green starts, blue still writes the volume; some data can bear two writers, most cannot, and teal does not guess.", "x-teal: {volumes: {uploads: overlap}}"},
	UnknownReference:     {byAuthor, "depends_on, networks, volumes, migrate, jobs and env_file name other parts by name, and the named part is not there.", "migrate: {service: backend, …}   # backend must be a service"},
	DependencyCycle:      {byAuthor, "Services start in the order of depends_on; in a circle, or when a routed service waits for a worker that is handed over later, there is no first one.", "depends_on: []   # drop one arrow of the circle"},
	EnvFileInvalid:       {byAuthor, "An env_file is read line by line as NAME=value; a line is something else, or its quotes do not pair up.", "LOG_LEVEL=info"},
	NameMismatch:         {byAuthor, "Approvals, containers and routes are found by the app's name, which the directory and name: must agree on.", "name: shop   # in environments/production/shop/release.yaml"},
	DirectoryUnreadable:  {byAuthor, "The directory under environments/ has no release.yaml in that commit, or it is a link or an executable.", "git add --chmod=-x environments/production/shop/release.yaml"},
	UncheckedService:     {byAuthor, "A service has no route and no healthcheck, so a check of a release can only see that its container goes on running.", "healthcheck: {test: [CMD, celery, -A, shop, inspect, ping]}"},
	ExitIsBad:            {byAuthor, "Compose's restart: \"no\" is a limit of no exit at all. A one-off beside the app, such as collectstatic, ends by itself, and the release would go back because of it.", "x-teal: {jobs: [{name: collectstatic, service: backend, command: [python, manage.py, collectstatic, --noinput], when: before-switch}]}"},

	"secret_not_sealed": {byAuthor, "A value in Git in plain text is known to everybody who can read the repository, now and in every old clone.", "tealctl secrets encrypt --env production --app shop --name database-url"},
}
