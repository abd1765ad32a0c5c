package drive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The protocol is NBD's, fixed newstyle, with simple replies:
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
const (
	magicInit    = 0x4e42444d41474943 // NBDMAGIC
	magicOption  = 0x49484156454f5054 // IHAVEOPT
	magicAnswer  = 0x3e889045565a9
	magicRequest = 0x25609513
	magicReply   = 0x67446698

	fixedNewstyle, noZeroes = 1, 2

	optExportName, optAbort, optInfo, optGo = 1, 2, 6, 7
	repAck, repInfo, repUnsupported         = 1, 3, 1<<31 | 1
	infoExport                              = 0

	cmdRead, cmdWrite, cmdDisconnect, cmdFlush, cmdTrim, cmdZeroes = 0, 1, 2, 3, 4, 6
	flagFUA                                                        = 1

	// Has flags; takes flush, FUA, trim, write zeroes.
	exportFlags = 1 | 4 | 8 | 32 | 64

	errIO, errInvalid = 5, 22
	maxLength         = 64 << 20
)

// Serve answers whoever connects, one after the other, until l is closed.
func (d *Drive) Serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		d.client.Lock()
		d.session(conn) // its end is the client's
		d.client.Unlock()
		conn.Close()
	}
}

func (d *Drive) session(conn io.ReadWriter) error {
	r := bufio.NewReaderSize(conn, 1<<20)
	if err := d.negotiate(r, conn); err != nil {
		return err
	}
	for {
		var q struct {
			Magic       uint32
			Flags, Type uint16
			Handle      uint64
			Offset      uint64
			Length      uint32
		}
		if err := binary.Read(r, binary.BigEndian, &q); err != nil {
			return err
		}
		if q.Magic != magicRequest || q.Length > maxLength {
			return fmt.Errorf("nbd: a request with magic %#x of %d octets", q.Magic, q.Length)
		}
		var data []byte
		var failed uint32
		fail := func(err error) {
			if err != nil {
				failed = errIO
			}
		}
		switch q.Type {
		case cmdRead:
			data = make([]byte, q.Length)
			_, err := d.ReadAt(data, int64(q.Offset))
			fail(err)
		case cmdWrite:
			in := make([]byte, q.Length)
			if _, err := io.ReadFull(r, in); err != nil {
				return err
			}
			fail(d.writeAt(in, int64(q.Offset), q.Flags&flagFUA != 0))
		case cmdZeroes:
			fail(d.writeAt(make([]byte, q.Length), int64(q.Offset), q.Flags&flagFUA != 0))
		case cmdFlush:
			fail(d.Flush())
		case cmdTrim: // a hint
		case cmdDisconnect:
			return nil
		default:
			failed = errInvalid
		}
		reply := binary.BigEndian.AppendUint32(nil, magicReply)
		reply = binary.BigEndian.AppendUint32(reply, failed)
		reply = binary.BigEndian.AppendUint64(reply, q.Handle)
		if failed == 0 {
			reply = append(reply, data...)
		}
		if _, err := conn.Write(reply); err != nil {
			return err
		}
	}
}

// negotiate agrees on the one export there is, whatever its name.
func (d *Drive) negotiate(r io.Reader, w io.Writer) error {
	hello := binary.BigEndian.AppendUint64(nil, magicInit)
	hello = binary.BigEndian.AppendUint64(hello, magicOption)
	if _, err := w.Write(binary.BigEndian.AppendUint16(hello, fixedNewstyle|noZeroes)); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(r, binary.BigEndian, &flags); err != nil {
		return err
	}
	for {
		var o struct {
			Magic          uint64
			Option, Length uint32
		}
		if err := binary.Read(r, binary.BigEndian, &o); err != nil {
			return err
		}
		if o.Magic != magicOption || o.Length > 4096 {
			return errors.New("nbd: no option")
		}
		if _, err := io.CopyN(io.Discard, r, int64(o.Length)); err != nil {
			return err
		}
		export := binary.BigEndian.AppendUint64(nil, uint64(d.size))
		export = binary.BigEndian.AppendUint16(export, exportFlags)
		var err error
		switch o.Option {
		case optExportName:
			if flags&noZeroes == 0 {
				export = append(export, make([]byte, 124)...)
			}
			_, err = w.Write(export)
			return err
		case optInfo, optGo:
			info := append(binary.BigEndian.AppendUint16(nil, infoExport), export...)
			if err = answer(w, o.Option, repInfo, info); err == nil {
				err = answer(w, o.Option, repAck, nil)
			}
			if err == nil && o.Option == optGo {
				return nil
			}
		case optAbort:
			answer(w, o.Option, repAck, nil)
			return errors.New("nbd: aborted")
		default:
			err = answer(w, o.Option, repUnsupported, nil)
		}
		if err != nil {
			return err
		}
	}
}

func answer(w io.Writer, option, kind uint32, data []byte) error {
	out := binary.BigEndian.AppendUint64(nil, magicAnswer)
	out = binary.BigEndian.AppendUint32(out, option)
	out = binary.BigEndian.AppendUint32(out, kind)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	_, err := w.Write(append(out, data...))
	return err
}
