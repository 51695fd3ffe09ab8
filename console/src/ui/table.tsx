import type { ComponentProps } from 'react'
import { cn } from './cn'

/** A table that scrolls sideways in its own box where the screen is narrow. */
export function Table({ className, ...props }: ComponentProps<'table'>) {
  return (
    <div className="relative overflow-x-auto">
      <table className={cn('w-full border-collapse text-left text-sm', className)} {...props} />
    </div>
  )
}

export function Th({ className, ...props }: ComponentProps<'th'>) {
  return (
    <th
      scope="col"
      className={cn(
        'h-8 whitespace-nowrap border-line border-b px-3 font-medium text-faint text-xs first:pl-4 last:pr-4',
        className,
      )}
      {...props}
    />
  )
}

export function Td({ className, ...props }: ComponentProps<'td'>) {
  return <td className={cn('h-9 border-line border-b px-3 py-1.5 first:pl-4 last:pr-4', className)} {...props} />
}

export function Tr({ className, ...props }: ComponentProps<'tr'>) {
  return <tr className={cn('last:[&>td]:border-b-0 hover:bg-hover/50', className)} {...props} />
}
