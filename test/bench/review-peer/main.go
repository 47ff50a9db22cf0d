// The peer of `npm run bench -- review`: admission as a Go program would do it, net/http and encoding/json, with the same checks.
package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const maxBody = 3 << 20

func main() {
	directory := flag.String("certificate-directory", "", "directory of tls.crt and tls.key")
	schema := flag.String("schema", "", "file of the CRD's schema as JSON")
	flag.Parse()
	text, err := os.ReadFile(*schema)
	check(err)
	var raw rawSchema
	check(json.Unmarshal(text, &raw))
	validator := compile(&raw)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(*directory, "tls.crt"), filepath.Join(*directory, "tls.key"))
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mutate", handler(validator, true))
	mux.HandleFunc("POST /validate", handler(validator, false))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// HTTP/1.1, which the other side speaks too.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("{\"msg\":\"listening\",\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	check(server.ServeTLS(listener, "", ""))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func handler(validator *schema, mutate bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "the body must be application/json", http.StatusUnsupportedMediaType)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			status := http.StatusBadRequest
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, err.Error(), status)
			return
		}
		var asked review
		if err := json.Unmarshal(body, &asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := asked.answer(validator, mutate)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(text)
	}
}
