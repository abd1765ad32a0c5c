package macsec

import "golang.org/x/sys/unix"

// LoadCipher has the kernel load its AES-GCM, which else happens while the
// first SA is installed and can take a second there. Without AF_ALG it does
// nothing, and neither a failure nor a success means anything: AddTxSA and
// AddRxSA say what is missing.
func LoadCipher() {
	fd, err := unix.Socket(unix.AF_ALG, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Bind(fd, &unix.SockaddrALG{Type: "aead", Name: "gcm(aes)"})
}
