package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/holdfast/holdfast"
)

func listenHTTP(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError("http", address, err)
	}
	return l, nil
}

// freeAddress tries whether the address can be listened on, and returns it with the port that it got when it asked for any.
func freeAddress(ctx context.Context, name, address string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", listenError(name, address, err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // it comes from the network itself
	host, _, _ := net.SplitHostPort(address)           // it was checked when it was read
	return net.JoinHostPort(host, port), l.Close()
}

func listenError(name, address string, err error) error {
	e := &holdfast.Error{Kind: holdfast.Precondition, Message: fmt.Sprintf("cannot listen on %s", address), Hint: "choose another address with --" + name, Cause: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Message = fmt.Sprintf("the port of %s is taken by another program", address)
	case errors.Is(err, syscall.EACCES):
		e.Message = fmt.Sprintf("this user may not listen on %s", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Message = fmt.Sprintf("%s is not an address of this machine", address)
	}
	e.Cause = nil // the message says it all
	return e
}

// publicAddress is where clients reach what listens on an address: what the operator says, else the address itself, else this
// machine's name when it listens on every address.
func publicAddress(listen, public string) string {
	if public != "" {
		return public
	}
	name, err := os.Hostname()
	if err != nil {
		name = "127.0.0.1"
	}
	return reachable(listen, name)
}

// reachable puts a name in the place of the address that means every address.
func reachable(address, name string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = name
	}
	return net.JoinHostPort(host, port)
}
