export function Logo({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={className} aria-hidden>
      <title>Holdfast</title>
      <rect width="32" height="32" rx="7.5" className="fill-accent-solid" />
      <path d="M10 8v16M22 8v16" fill="none" stroke="#fff" strokeWidth="3.200" strokeLinecap="round" />
      <path
        d="M7 21.500c2 3.300 5.300 4.500 9 4.500s7-1.200 9-4.500"
        fill="none"
        stroke="#a9caff"
        strokeWidth="2.400"
        strokeLinecap="round"
      />
    </svg>
  )
}
