import { qr } from '@/lib/qr'

/** A QR code, drawn here; nothing when the text is too long for one. It is black on white in the dark, too: not every camera reads the other. */
export function QRCode({ text, label }: { text: string; label: string }) {
  const modules = qr(text)
  if (!modules) return null
  const size = modules.length + 8
  const dark = modules.flatMap((row, y) => row.map((on, x) => (on ? `M${x + 4} ${y + 4}h1v1h-1z` : ''))).join('')
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${size} ${size}`}
      shapeRendering="crispEdges"
      className="size-48 rounded-md border border-line"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={dark} fill="#000" />
    </svg>
  )
}
