package fidelity

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"github.com/tealops/teal/test/lab"
)

// Images makes the images that the corpus names: each has one program, test/images/standin,
// under the names that Compose files call, and the settings that people's images have.
type Images struct {
	lab *lab.Lab

	mu   sync.Mutex
	root []byte            // the tar of the file system
	made map[string]string // name → reference
}

// NewImages makes images in a lab; they go with it.
func NewImages(l *lab.Lab) *Images { return &Images{lab: l, made: map[string]string{}} }

// links are the names that the program has in every image.
var links = []string{
	"/bin/sh", "/bin/bash", "/bin/true", "/bin/chown", "/bin/sleep", "/usr/bin/env", "/usr/bin/curl", "/usr/bin/wget", "/usr/bin/nc", "/usr/bin/test", "/usr/bin/tini",
	"/usr/local/bin/python", "/usr/local/bin/celery", "/usr/local/bin/gunicorn", "/usr/local/bin/uvicorn", "/usr/local/bin/flask", "/usr/local/bin/alembic", "/usr/local/bin/airflow",
	"/usr/local/bin/bundle", "/usr/local/bin/rails", "/usr/local/bin/sidekiq", "/usr/local/bin/php", "/usr/local/bin/php-fpm", "/usr/local/bin/node", "/usr/local/bin/npm",
	"/usr/local/bin/docker-entrypoint.sh", "/docker-entrypoint.sh", "/entrypoint.sh", "/usr/local/bin/java", "/usr/local/bin/mix",
	"/usr/bin/pg_isready", "/usr/bin/redis-cli", "/usr/bin/redis-server", "/usr/bin/mysqladmin", "/usr/bin/mysqld", "/usr/bin/mongosh", "/usr/bin/mongod", "/usr/bin/postgres",
	"/usr/bin/rabbitmq-diagnostics", "/usr/bin/healthcheck.sh", "/usr/bin/mc", "/usr/bin/minio", "/usr/bin/nginx", "/usr/bin/traefik", "/usr/bin/prometheus", "/usr/bin/server",
	"/usr/bin/worker", "/usr/bin/memcached", "/bin/grpc_health_probe", "/usr/bin/loki", "/usr/bin/kafka-topics.sh", "/usr/bin/tail", "/usr/bin/gitea", "/usr/bin/vault", "/usr/bin/nats-server", "/usr/bin/mosquitto",
}

// changes are what images of that last name are known for.
func changes(name string) []string {
	const healthy = `HEALTHCHECK --interval=30s --timeout=5s --retries=5 CMD ["/usr/bin/healthcheck.sh", "--image"]`
	switch path.Base(name) {
	case "postgres":
		return []string{"VOLUME /var/lib/postgresql/data", "STOPSIGNAL SIGINT", "ENV PGDATA=/var/lib/postgresql/data", "EXPOSE 5432", `CMD ["postgres"]`}
	case "mysql", "mariadb":
		return []string{"VOLUME /var/lib/mysql", "EXPOSE 3306", `CMD ["mysqld"]`}
	case "redis", "valkey":
		return []string{"VOLUME /data", "WORKDIR /data", "EXPOSE 6379", `CMD ["redis-server"]`}
	case "mongo":
		return []string{"VOLUME /data/db", "EXPOSE 27017", `CMD ["mongod"]`}
	case "nginx":
		return []string{"STOPSIGNAL SIGQUIT", "EXPOSE 80", `CMD ["nginx", "-g", "daemon off;"]`}
	case "rabbitmq", "elasticsearch":
		return []string{"USER 999", "ENV LANG=C.UTF-8", healthy}
	case "grafana", "prometheus":
		return []string{"USER 472", "WORKDIR /usr/share", `LABEL maintainer=images`}
	default:
		return []string{"WORKDIR /srv", "ENV APP_HOME=/srv", "EXPOSE 8080", `CMD ["/usr/bin/server"]`}
	}
}

// Image is a reference of the image of that name (a repository, without tag and
// digest), made now if need be.
func (m *Images) Image(ctx context.Context, name string) (ref string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ref := m.made[name]; ref != "" {
		return ref, nil
	}
	if m.root == nil {
		if m.root, err = m.files(ctx); err != nil {
			return "", fmt.Errorf("make image %s: %w", name, err)
		}
	}
	ref = m.lab.Name("image", strings.NewReplacer("/", "-", ":", "-").Replace(name)) + ":1"
	lines := []string{`ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]`, "ENV PATH=/usr/local/bin:/usr/bin:/bin"}
	signal := ""
	for _, line := range changes(name) {
		if strings.HasPrefix(line, "STOPSIGNAL ") { // an import does not take it
			signal = line
			continue
		}
		lines = append(lines, line)
	}
	var labels []string
	for k, v := range m.lab.Labels(nil) {
		labels = append(labels, fmt.Sprintf("LABEL %s=%s", k, v))
	}
	if signal == "" {
		lines = append(lines, labels...)
	}
	stream, err := m.lab.API.ImageImport(ctx, client.ImageImportSource{Source: bytes.NewReader(m.root), SourceName: "-"}, ref, client.ImageImportOptions{Changes: lines})
	if err == nil {
		err = follow(stream)
	}
	if err == nil && signal != "" {
		err = m.derive(ctx, ref, append([]string{signal}, labels...)) // only the last bears the lab's label, which takes its parents along
	}
	if err != nil {
		return "", fmt.Errorf("make image %s: %w", name, err)
	}
	m.made[name] = ref
	return ref, nil
}

// derive puts more lines on an image, under the same name.
func (m *Images) derive(ctx context.Context, ref string, lines []string) error {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	dockerfile := "FROM " + ref + "\n" + strings.Join(lines, "\n") + "\n"
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, dockerfile); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	built, err := m.lab.API.ImageBuild(ctx, &buffer, client.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true, NetworkMode: "none", Version: build.BuilderV1})
	if err != nil {
		return err
	}
	return follow(built.Body)
}

// follow reads what the engine says to its end; an error in it is an error.
func follow(stream io.ReadCloser) error {
	defer stream.Close()
	for d := json.NewDecoder(stream); ; {
		var said struct{ Error string }
		if err := d.Decode(&said); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if said.Error != "" {
			return errors.New(said.Error)
		}
	}
}

// Name is the name that an image was made for, or the reference itself.
func (m *Images) Name(ref string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, made := range m.made {
		if made == ref {
			return name
		}
	}
	return ref
}

// files is the file system of every image: the program, and links to it.
func (m *Images) files(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "teal-standin-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "standin")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "github.com/tealops/teal/test/images/standin")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the stand-in: %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range []struct {
		name string
		mode int64
		data []byte
	}{{"standin", 0o755, program}, {"etc/passwd", 0o644, []byte("root:x:0:0::/:\nnode:x:1000:1000::/:\n")}, {"etc/group", 0o644, []byte("root:x:0:\naudio:x:29:\nnode:x:1000:\n")}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	for _, l := range links {
		if err := w.WriteHeader(&tar.Header{Name: l[1:], Typeflag: tar.TypeSymlink, Linkname: "/standin", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), w.Close()
}
