# Pointers are addresses of contiguous device memory (tensor.data_ptr()); `device` is an ordinal and
# `stream` a handle (torch.cuda.current_stream(device).cuda_stream). Nothing waits for the device.

def build_info() -> dict[str, str]: ...
def mix(
    *,
    source: int,
    block: int,
    weight: int,
    outputs: int,
    grid_height: int,
    grid_width: int,
    images: int,
    inputs: int,
    channels: int,
    height: int,
    width: int,
    mixed: int,
    dtype: str,
    channels_last: bool,
    device: int,
    stream: int,
) -> None: ...
def mix_transpose(
    *,
    source: int,
    block: int,
    weight: int,
    outputs: int,
    grid_height: int,
    grid_width: int,
    order: int,
    starts: int,
    mixed: int,
    images: int,
    inputs: int,
    channels: int,
    height: int,
    width: int,
    dtype: str,
    channels_last: bool,
    device: int,
    stream: int,
) -> None: ...
