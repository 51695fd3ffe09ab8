import { type ReactNode, useEffect } from 'react'

/** The head of a screen: what it is and what can be done here. It names the browser's tab, too. */
export function PageHead({
  title,
  about,
  children,
  name,
}: {
  title: ReactNode
  about?: ReactNode
  children?: ReactNode
  name: string
}) {
  useEffect(() => {
    document.title = `${name} · Holdfast`
  }, [name])
  return (
    <div className="mb-5 flex flex-wrap items-start justify-between gap-x-4 gap-y-3">
      <div className="min-w-0">
        <h1 className="font-semibold text-xl tracking-tight">{title}</h1>
        {about && <div className="mt-0.5 text-muted text-sm">{about}</div>}
      </div>
      {children && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </div>
  )
}
