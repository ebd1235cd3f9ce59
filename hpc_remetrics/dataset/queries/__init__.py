"""Questions that many analyses ask of a dataset, answered by methods of `Dataset`.

| module | method | question |
|---|---|---|
| `content_places` | `places`, `images_of` | where does a content occur? |
| `directories` | `directories` | in which directories are entries, down to some depth? |
| `file_system` | `file_system` | which files does a container of an image see? |
| `shared_bytes` | `shared_bytes` | how much do two images or repositories have in common? |
| `image_growth` | `image_growth` | what does each image add to those before it? |
| `size_quantiles` | `size_quantiles` | how large are files, by type? |

`selection` finds the rows of what a caller names. Each answer is a pandas frame, or a column of
one.
"""
