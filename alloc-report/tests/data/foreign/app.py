"""What memray records: 30 blocks that stay, one that makes the peak, and 50 that are freed."""


def keep(kept, blocks, size):
    for _ in range(blocks):
        kept.append(bytearray(size))


def peak():
    return len(bytearray(7_000_000))


def waste():
    for _ in range(50):
        bytearray(50_000)


def main():
    kept = []
    keep(kept, 10, 100_000)
    peak()
    keep(kept, 20, 200_000)
    waste()
    return kept


kept = main()
