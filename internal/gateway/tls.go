package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// alpn is the protocol's name in TLS; without it nobody may begin with TLS at once.
const alpn = "postgresql"

// certificateLife is how long a certificate of NewCertificate holds.
const certificateLife = 10 * 365 * 24 * time.Hour

// NewCertificate makes a self-signed certificate for the hosts (names or IP addresses), as PEM. Clients reach it with
// sslmode=require, and with verify-full when they take the certificate as their root.
func NewCertificate(hosts []string, now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("make a serial number: %w", err)
	}
	template := x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Holdfast gateway"},
		NotBefore:             now.Add(-time.Hour), // a client's clock may be behind
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // some clients take nothing else as a root
		MaxPathLenZero:        true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// doorTLS is the configuration under which connections are encrypted. The certificate that a connection was shown is noted
// in it, for channel binding speaks of that one.
func doorTLS(given *tls.Config) *tls.Config {
	config := given.Clone()
	config.GetConfigForClient = nil
	config.NextProtos = []string{alpn}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.SessionTicketsDisabled = true // database sessions are long: a ticket would only be another secret
	config.DynamicRecordSizingDisabled = true
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate, err := chooseCertificate(given, hello)
		if c, ok := hello.Conn.(*doorConn); ok && err == nil {
			c.certificate = certificate
		}
		return certificate, err
	}
	config.Certificates = nil // else they would win over GetCertificate
	return config
}

func chooseCertificate(given *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if given.GetCertificate != nil {
		if c, err := given.GetCertificate(hello); c != nil || err != nil {
			return c, err
		}
	}
	for i := range given.Certificates {
		if hello.SupportsCertificate(&given.Certificates[i]) == nil {
			return &given.Certificates[i], nil
		}
	}
	if len(given.Certificates) == 0 {
		return nil, errors.New("the gateway has no certificate")
	}
	return &given.Certificates[0], nil
}

// endPoint is the channel-binding data tls-server-end-point (RFC 5929): the certificate's hash by the hash function of its
// signature, by SHA-256 where that is a weaker one. It is nil where the RFC leaves it undefined or clients disagree.
func endPoint(certificate *tls.Certificate) []byte {
	if certificate == nil || len(certificate.Certificate) == 0 {
		return nil
	}
	der := certificate.Certificate[0]
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		sum := sha256.Sum256(der)
		return sum[:]
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(der)
		return sum[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(der)
		return sum[:]
	}
	return nil
}
