package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// A file, big-endian:
//
//	magic       8 octets, "linkseal"
//	version     u16
//	generation  u64
//	time        as in the plaintext: the newest wall clock
//	counter     u32; 0: the witness file
//	sealer      u8 of length and the name
//	blob        u16 of length and the sealed data key
//	nonce       12 octets
//	text        u32 of length and AES-256-GCM's ciphertext with its tag
//	checksum    SHA-256 of all before
//
// All before the ciphertext is the AAD. The checksum authenticates nothing: it
// tells a torn file from one that is another machine's or was changed.
const (
	magic   = "linkseal"
	version = 1

	nonceSize = 12
	tagSize   = 16
	sumSize   = sha256.Size

	maxBlob   = 8192
	maxSealer = 32
	// maxGeneration leaves room to count on.
	maxGeneration = 1 << 62
	// maxFile bounds what is read of a file.
	maxFile = 512 + maxBlob + maxText
)

// header is what of a file can be read without its key.
type header struct {
	generation uint64
	time       time.Time
	counter    uint32
	sealer     string
	blob       []byte
	nonce      [nonceSize]byte
}

// append writes the header of a ciphertext of n octets: the AAD.
func (h *header) append(b []byte, n int) []byte {
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint64(b, h.generation)
	b = appendTime(b, h.time)
	b = binary.BigEndian.AppendUint32(b, h.counter)
	b = append(append(b, byte(len(h.sealer))), h.sealer...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.blob))), h.blob...)
	b = append(b, h.nonce[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// appendSum ends a file with its checksum.
func appendSum(file []byte) []byte {
	sum := sha256.Sum256(file)
	return append(file, sum[:]...)
}

// parse splits a file into its header, the AAD and the ciphertext, which are
// parts of it. The error is a *Refusal without a file's name.
func parse(file []byte) (h header, aad, text []byte, err error) {
	torn := func(format string, args ...any) (header, []byte, []byte, error) {
		return header{}, nil, nil, &Refusal{Kind: Torn, What: fmt.Sprintf(format, args...)}
	}
	if len(file) < len(magic)+2 || string(file[:len(magic)]) != magic {
		return torn("does not begin like a file of sealed keys")
	}
	if v := binary.BigEndian.Uint16(file[len(magic):]); v != version {
		return header{}, nil, nil, &Refusal{Kind: Version, What: fmt.Sprintf("has format version %d; this linkseal reads %d", v, version)}
	}
	body := file[:max(0, len(file)-sumSize)]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], file[len(body):]) {
		return torn("is torn: its checksum is not that of its %d octets", len(file))
	}
	r := &reader{b: body, at: len(magic) + 2}
	h.generation = binary.BigEndian.Uint64(r.take(8, "the generation"))
	h.time = r.time()
	h.counter = binary.BigEndian.Uint32(r.take(4, "the counter"))
	h.sealer = string(r.take(int(r.take(1, "the sealer")[0]), "the sealer"))
	h.blob = r.take(int(binary.BigEndian.Uint16(r.take(2, "the blob"))), "the blob")
	copy(h.nonce[:], r.take(nonceSize, "the nonce"))
	n := binary.BigEndian.Uint32(r.take(4, "the text"))
	switch {
	case r.err != nil:
		return torn("is malformed: %v", r.err)
	case int64(n) != int64(len(body)-r.at) || n < tagSize:
		return torn("is malformed: a text of %d octets, of which %d are there", n, len(body)-r.at)
	case h.generation == 0 || h.generation > maxGeneration || len(h.blob) > maxBlob || len(h.sealer) > maxSealer:
		return torn("is malformed: generation %d, a sealer of %d octets, a blob of %d", h.generation, len(h.sealer), len(h.blob))
	}
	return h, body[:r.at], body[r.at:], nil
}
