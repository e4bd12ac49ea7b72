# The least an /init can do: say one line, then wait for ever. `tests/bench boot` measures the kernel alone with it.
.globl _start
_start:
        mov     $1, %eax                # write(1, line, length)
        mov     $1, %edi
        lea     line(%rip), %rsi
        mov     $length, %edx
        syscall
wait:   mov     $34, %eax               # pause()
        syscall
        jmp     wait
line:   .ascii  "one-line init runs\n"
.set    length, . - line
