package bpf
import ("testing";"fmt";"sort";"encoding/binary";"os"; "github.com/cilium/ebpf";"github.com/cilium/ebpf/asm")
func TestZZ(t *testing.T){
 if os.Getenv("ZZ")=="" {t.Skip()}
 s,_:=plain.settings(portAddress); spec,_:=loadPort(); p,err:=load(spec,s,pair{}); if err!=nil {t.Fatalf("%+v",err)}; defer p.Close()
 bare,err:=ebpf.NewProgram(&ebpf.ProgramSpec{Type:ebpf.XDP,Instructions:asm.Instructions{asm.Mov.Imm(asm.R0,2),asm.Return()},License:"GPL"}); if err!=nil{t.Fatal(err)}
 drop,_:=ebpf.NewProgram(&ebpf.ProgramSpec{Type:ebpf.XDP,Instructions:asm.Instructions{asm.Mov.Imm(asm.R0,1),asm.Return()},License:"GPL"})
 tc,_:=ebpf.NewProgram(&ebpf.ProgramSpec{Type:ebpf.SchedCLS,Instructions:asm.Instructions{asm.Mov.Imm(asm.R0,-1),asm.Return()},License:"GPL"})
 sci:=[]byte{2,0,0,0,0,0x0a,0,1}
 if err:=p.held(portMapScs).Put(sci, portSc{Counter:[4]uint32{1,2,3,4}});err!=nil{t.Fatal(err)}
 m:=octets(t, peerMAC+otherMAC+"88e5"+"2c00"+"00000007"+"02000000000a0001",64)
 q:=octets(t, peerMAC+otherMAC+"88a80064"+"8100000a"+"88e5"+"2c00"+"00000007"+"02000000000a0001",64)
 clear:=octets(t, portMAC+peerMAC+"08004500",64)
 rows:=[]struct{n string; p *ebpf.Program; f []byte; r []float64}{{"bare",bare,m,nil},{"drop",drop,m,nil},{"macsec",p.in.Program,m,nil},{"qinq",p.in.Program,q,nil},{"clear drop",p.in.Program,clear,nil},{"tc bare",tc,m,nil},{"tc macsec",p.out.Program,m,nil}}
 for range 7 { for i:=range rows { _,d,err:=rows[i].p.Benchmark(rows[i].f, 3000000, nil); if err!=nil{t.Fatal(err)}; rows[i].r=append(rows[i].r,float64(d.Nanoseconds())) ; _=binary.BigEndian}}
 for _,r:=range rows { sort.Float64s(r.r); fmt.Println(r.n, r.r) }
}
