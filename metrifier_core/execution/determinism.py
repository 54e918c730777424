"""Training that gives the same weights and the same files every time."""


def start_training(seed: int) -> None:
    """Put Keras and TensorFlow into a state that depends on the seed alone.

    Args:
        seed: Decides initial weights and dropout.
    """
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    # With TF32 a GPU's scores would differ from those of the exported files.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    # Layer names count up over all models of a process, and exported files hold them.
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
