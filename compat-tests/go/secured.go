package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sort"
	"time"

	"github.com/go-zookeeper/zk"
)

// secured is the Go client over TLS, with a dialer as its users write it. The certificate is bob's, who
// must not read what is another's; ca, certificate and key are files in PEM. What it prints is the same
// on every server.
func secured(ca, certificate, key string) int {
	if err := asBob(ca, certificate, key); err != nil {
		fmt.Println("FAIL go:", err)
		return 1
	}
	return 0
}

func asBob(ca, certificate, key string) error {
	authority, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	// The client hands over an address, the certificate has the name.
	config := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}, ServerName: host}
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return fmt.Errorf("%s has no certificate", ca)
	}
	dialer := func(network, address string, timeout time.Duration) (net.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, config)
	}
	conn, events, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(dialer))
	if err != nil {
		return err
	}
	defer conn.Close()
	awaitState(events, zk.StateHasSession)

	if _, _, err := conn.Get("/hers"); err != zk.ErrNoAuth {
		return fmt.Errorf("what is hers: %v", err)
	}
	fmt.Println("bob must not read what is hers")
	his := []zk.ACL{{Perms: zk.PermAll, Scheme: "x509", ID: `CN=bob,O=Zoo\, Inc.`}}
	// More than fits into one of TLS's records.
	large := bytes.Repeat([]byte("data "), 60_000)
	if _, err := conn.Create("/in-go", large, 0, his); err != nil {
		return err
	}
	data, _, changed, err := conn.GetW("/in-go")
	if err != nil {
		return err
	}
	fmt.Println(len(data), "bytes, as they were:", bytes.Equal(data, large))
	acls, _, err := conn.GetACL("/in-go")
	if err != nil {
		return err
	}
	fmt.Println(acls)
	if _, err := conn.Set("/in-go", []byte("small"), 0); err != nil {
		return err
	}
	event := <-changed
	fmt.Println(event.Type, event.Path)
	children, _, err := conn.Children("/")
	if err != nil {
		return err
	}
	sort.Strings(children)
	fmt.Println(children)
	return nil
}
