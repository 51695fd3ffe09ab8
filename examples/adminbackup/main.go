// Command adminbackup is a small program of its own that offers the API of backups for its database.
//
//	export DATABASE_URL=postgres://app@localhost/app ADMIN_TOKEN=...
//	go run ./examples/adminbackup -listen 127.0.0.1:8080 -folder ./backups
//	curl -H "Authorization: Bearer $ADMIN_TOKEN" -H 'Content-Type: application/json' \
//	  -d '{"project":"shop","branch":"development"}' http://127.0.0.1:8080/api/admin/backups
package main

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/adminbackup"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where to listen")
	folder := flag.String("folder", "backups", "where backups are kept")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *folder, os.Getenv("DATABASE_URL"), os.Getenv("ADMIN_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, folder, url, token string) (err error) {
	if url == "" || token == "" {
		return errors.New("set DATABASE_URL and ADMIN_TOKEN")
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	backups, err := adminbackup.New(ctx, adminbackup.Config{
		Databases: []adminbackup.Database{{Project: "shop", Branch: "development", DB: db}},
		Folder:    folder,
		Authorize: authorize(token),
	})
	if err != nil {
		return err
	}
	defer backups.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a shop") })
	mux.Handle("/api/admin/backups", backups)
	mux.Handle("/api/admin/backups/", backups)

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(over) // what does not end in time ends with the program
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// authorize lets in whoever has the token. A real program knows its people, and may let fewer of them delete than see.
func authorize(token string) func(*http.Request, adminbackup.Access) (string, error) {
	return func(r *http.Request, _ adminbackup.Access) (string, error) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			return "", &holdfast.Error{Kind: holdfast.Unauthenticated, Message: "a token is needed"}
		}
		return "admin", nil
	}
}
