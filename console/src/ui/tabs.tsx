import { Tabs as Radix } from 'radix-ui'
import type { ComponentProps } from 'react'
import { cn } from './cn'

export const Tabs = Radix.Root
export const TabContent = Radix.Content

export function TabList({ className, ...props }: ComponentProps<typeof Radix.List>) {
  return (
    <Radix.List
      className={cn('flex gap-1 overflow-x-auto border-line border-b [scrollbar-width:none]', className)}
      {...props}
    />
  )
}

export const tabStyle =
  '-mb-px shrink-0 rounded-t-md border-b-2 border-transparent px-2.5 py-2 text-sm text-muted hover:text-text data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-text focus-visible:-outline-offset-2'

export function Tab(props: ComponentProps<typeof Radix.Trigger>) {
  return <Radix.Trigger className={tabStyle} {...props} />
}
