import type { ReactNode } from 'react'
import { Logo } from '@/app/logo'

/** The page before one is inside: a narrow column with the name above it. */
export function Entrance({ title, about, children }: { title: string; about?: ReactNode; children: ReactNode }) {
  return (
    <main className="flex min-h-dvh flex-col items-center px-4 pt-[14vh] pb-10">
      <Logo className="size-11" />
      <h1 className="mt-5 text-center font-semibold text-2xl tracking-tight">{title}</h1>
      {about && <p className="mt-1.5 max-w-sm text-center text-muted text-sm">{about}</p>}
      <div className="mt-7 w-full max-w-sm rounded-xl border border-line bg-panel p-5 shadow-panel">{children}</div>
    </main>
  )
}
