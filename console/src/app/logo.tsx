export function Logo({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={className} aria-hidden>
      <title>Holdfast</title>
      <rect width="32" height="32" rx="7.5" className="fill-accent-solid" />
      <path d="M10 8v16M22 8v16" fill="none" stroke="#fff" strokeWidth="3.2" strokeLinecap="round" />
      <path d="M10 13.5c4 4.5 8 4.5 12 0" fill="none" stroke="#a9caff" strokeWidth="3" strokeLinecap="round" />
    </svg>
  )
}
