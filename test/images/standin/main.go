// Command standin takes the place of every program in the images that the corpus of
// Compose files names: databases, web servers, workers, shells, health checks. It is
// put into an image once and linked to under the names that the files call.
//
// It does what such a program's caller waits for, and nothing else: a health check
// ends with 0 at once, as does whatever prepares something and ends (a migration, an
// upload of assets, a new bucket); all else runs until a signal.
package main

import (
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"
)

// checks are programs that files use to ask whether another is well.
var checks = []string{"pg_isready", "curl", "wget", "redis-cli", "valkey-cli", "mysqladmin", "mariadb-admin", "healthcheck.sh", "nc", "mongosh",
	"rabbitmq-diagnostics", "grpc_health_probe", "test", "mc", "cqlsh", "kafka-topics.sh", "healthcheck", "true", "exit"}

// ends are words of a command line that prepare something and end.
var ends = []string{"migrate", "migrations:migrate", "db:prepare", "db:migrate", "collectstatic", "chown", "upgrade", "init", "seed", "setup", "install", "check", "ping"}

func main() {
	var words []string
	for _, a := range append([]string{path.Base(os.Args[0])}, os.Args[1:]...) {
		words = append(words, strings.Fields(a)...)
	}
	for i, w := range words {
		name := path.Base(w)
		if i < 4 && among(checks, name) || i > 0 && among(ends, name) {
			return
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGWINCH)
	<-stop
}

func among(list []string, word string) bool {
	for _, s := range list {
		if s == word {
			return true
		}
	}
	return false
}
